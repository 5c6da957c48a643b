"""The page of `lab export --web`: what it adds to the page of `lab serve`, and how the folder is made."""
