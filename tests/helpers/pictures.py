"""The pictures that most tests of reports do without."""

import infer.reports.pictures

OTHER_PICTURES = {
    name: getattr(infer.reports.pictures, name)
    for name in (
        *("roc_figure", "precision_recall_figure", "reliability_figure"),
        *("scores_figure", "balance_figure", "_learning_figure"),
    )
}
