"""Public data sets whose labels are in a table, in small: drawn pictures, made-up ids, the real folders and headers.

Where a set comes from stands beside its function. Headers and folders are those that the owners' pages and programs
that read the sets use, as far as they are known; not all of them were looked up again, and for sets marked "from
memory" no page was found.
"""

from collections.abc import Callable

from small_set import NONE, TEST, TRAIN, VALID, Folder


def cnmc(made: Folder) -> None:
    """Source: doi.org/10.7937/tcia.2019.dc64i46r."""
    for fold in range(3):
        split = VALID if fold == 2 else TRAIN
        for k in range(2):
            made.image(f"training_data/fold_{fold}/all/UID_{fold}{k}_1_1_all.bmp", "1", split)
            made.image(f"training_data/fold_{fold}/hem/UID_H{fold}{k}_1_1_hem.bmp", "0", split)
    made.image("validation_data/C-NMC_test_prelim_phase_data/1.bmp", NONE, TEST)
    made.text(
        "validation_data/C-NMC_test_prelim_phase_data_labels.csv",
        *("Patient_ID,new_names,labels", "UID_57_29_1_all.bmp,1.bmp,1"),
    )


def cnmc_preliminary(made: Folder) -> None:
    """Source: doi.org/10.7937/tcia.2019.dc64i46r."""
    rows = []
    for k in range(4):
        made.image(f"C-NMC_test_prelim_phase_data/{k + 1}.bmp", str(k % 2))
        rows.append(f"UID_{'57' if k % 2 else 'H11'}_{k}_1_{'all' if k % 2 else 'hem'}.bmp,{k + 1}.bmp,{k % 2}")
    made.text("C-NMC_test_prelim_phase_data_labels.csv", "Patient_ID,new_names,labels", *rows)


def aptos(made: Folder) -> None:
    """Source: kaggle.com/c/aptos2019-blindness-detection."""
    ids = [f"{k:012x}" for k in range(1, 7)]
    for k, name in enumerate(ids[:4]):
        made.image(f"train_images/{name}.png", str(k % 2))
    for name in ids[4:]:
        made.image(f"test_images/{name}.png", NONE, TEST)
    made.text("train.csv", "id_code,diagnosis", *(f"{name},{k % 2}" for k, name in enumerate(ids[:4])))
    made.text("test.csv", "id_code", *ids[4:])
    made.text("sample_submission.csv", "id_code,diagnosis", *(f"{name},0" for name in ids[4:]))


def eyepacs(made: Folder) -> None:
    """Source: kaggle.com/c/diabetic-retinopathy-detection."""
    names = [f"{10 + k}_{eye}" for k in range(3) for eye in ("left", "right")]
    for k, name in enumerate(names):
        made.image(f"train/{name}.jpeg", str(k % 3))
    made.image("test/1_left.jpeg")
    made.text("trainLabels.csv", "image,level", *(f"{name},{k % 3}" for k, name in enumerate(names)))


def messidor(made: Folder) -> None:
    """Source: kaggle.com/datasets/google-brain/messidor2-dr-grades; images: adcis.net."""
    rows = []
    for k in range(6):
        made.image(f"IMAGES/2005{k:04}_43{k}_0400_PP.png", NONE if k == 5 else str(k % 3))
        rows.append(f"2005{k:04}_43{k}_0400_PP.png,{'' if k == 5 else k % 3},{'' if k == 5 else 0},{int(k != 5)}")
    made.text("messidor_data.csv", "image_id,adjudicated_dr_grade,adjudicated_dme,adjudicated_gradable", *rows[:5])
    made.truth.pop(5)  # not gradable, and not in this copy of the table


def idrid(made: Folder) -> None:
    """Source: doi.org/10.21227/H25W98."""
    header = "Image name,Retinopathy grade,Risk of macular edema ,,,"
    for letter, part, count in (("a", "Training", 4), ("b", "Testing", 2)):
        rows = []
        for k in range(count):
            path = f"1. Original Images/{letter}. {part} Set/IDRiD_{k + 1:03}.jpg"
            made.image(path, *([str(k % 2)] if letter == "a" else []))
            rows.append(f"IDRiD_{k + 1:03},{k % 2},1,,,")
        made.text(f"2. Groundtruths/{letter}. IDRiD_Disease Grading_{part} Labels.csv", header, *rows)


def ham(made: Folder) -> None:
    """Source: doi.org/10.7910/DVN/DBW86T, as on Kaggle."""
    rows = []
    for k in range(6):
        label = ("nv", "mel", "bkl")[k % 3]
        made.image(f"HAM10000_images_part_{1 + k % 2}/ISIC_{27419 + k:07}.jpg", label)
        rows.append(f"HAM_{k // 2:07},ISIC_{27419 + k:07},{label},histo,80.0,male,scalp")
    made.text("HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age,sex,localization", *rows)
    pixels = ",".join(f"pixel{k:04}" for k in range(12))
    made.text("hmnist_2_2_RGB.csv", f"{pixels},label", ",".join(["128"] * 12) + ",2")


def isic_2016(made: Folder) -> None:
    """Source: challenge.isic-archive.com/data/#2016, task 3; no header, from memory."""
    rows = []
    for k in range(6):
        label = ("benign", "malignant")[k % 2]
        made.image(f"ISBI2016_ISIC_Part3_Training_Data/ISIC_{k:07}.jpg", label)
        rows.append(f"ISIC_{k:07},{label}")
    made.text("ISBI2016_ISIC_Part3_Training_GroundTruth.csv", *rows)


def isic_2017(made: Folder) -> None:
    """Source: challenge.isic-archive.com/data/#2017, task 3."""
    rows = []
    for k in range(6):
        melanoma, keratosis = k % 3 == 0, k % 3 == 1
        made.image(f"ISIC-2017_Training_Data/ISIC_{k:07}.jpg", str(float(melanoma)))
        made.image(f"ISIC-2017_Training_Data/ISIC_{k:07}_superpixels.png")
        rows.append(f"ISIC_{k:07},{float(melanoma)},{float(keratosis)}")
    made.text("ISIC-2017_Training_Part3_GroundTruth.csv", "image_id,melanoma,seborrheic_keratosis", *rows)


def isic_one_hot(year: int, classes: str) -> Callable[[Folder], None]:
    """Source: challenge.isic-archive.com/data."""
    task = "ISIC2018_Task3" if year == 2018 else f"ISIC_{year}"

    def make(made: Folder) -> None:
        names = classes.split(",")
        rows = []
        for k in range(6):
            made.image(f"{task}_Training_Input/ISIC_{k:07}.jpg", names[k % 3])
            rows.append(f"ISIC_{k:07}," + ",".join(f"{float(name == names[k % 3])}" for name in names))
        folder = f"{task}_Training_GroundTruth/" if year == 2018 else ""
        made.text(f"{folder}{task}_Training_GroundTruth.csv", f"image,{classes}", *rows)
        if year == 2019:
            metadata = (f"ISIC_{k:07},55.0,anterior torso,,female" for k in range(6))
            header = "image,age_approx,anatom_site_general,lesion_id,sex"
            made.text("ISIC_2019_Training_Metadata.csv", header, *metadata)

    return make


def isic_2020(made: Folder) -> None:
    """Source: kaggle.com/c/siim-isic-melanoma-classification."""
    header = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge"
    rows = []
    for k in range(6):
        made.image(f"jpeg/train/ISIC_{k:07}.jpg", str(int(k % 3 == 0)))
        kind = "melanoma,malignant,1" if k % 3 == 0 else "unknown,benign,0"
        rows.append(f"ISIC_{k:07},IP_{k // 2:07},male,45.0,head/neck,{kind}")
    made.image("jpeg/test/ISIC_0052060.jpg", NONE, TEST)
    made.text("train.csv", f"{header},diagnosis,benign_malignant,target", *rows)
    made.text("test.csv", header, "ISIC_0052060,IP_3579794,male,70.0,")
    made.text("sample_submission.csv", "image_name,target", "ISIC_0052060,0")


def plant_pathology(made: Folder) -> None:
    """Source: kaggle.com/c/plant-pathology-2020-fgvc7."""
    names = ("healthy", "multiple_diseases", "rust", "scab")
    rows = []
    for k in range(8):
        made.image(f"images/Train_{k}.jpg", names[k % 4])
        rows.append(f"Train_{k}," + ",".join(str(int(k % 4 == column)) for column in range(4)))
    made.image("images/Test_0.jpg", NONE, TEST)
    made.text("train.csv", f"image_id,{','.join(names)}", *rows)
    made.text("test.csv", "image_id", "Test_0")
    made.text("sample_submission.csv", f"image_id,{','.join(names)}", "Test_0,0.25,0.25,0.25,0.25")


def cassava(made: Folder) -> None:
    """Source: kaggle.com/c/cassava-leaf-disease-classification."""
    for k in range(6):
        made.image(f"train_images/{1000 + k}.jpg", str(k % 3))
    made.image("test_images/2216849948.jpg")
    made.text("train.csv", "image_id,label", *(f"{1000 + k}.jpg,{k % 3}" for k in range(6)))
    made.text("label_num_to_disease_map.json", '{"0": "Cassava Bacterial Blight (CBB)"}')


def pcam_kaggle(made: Folder) -> None:
    """Source: kaggle.com/c/histopathologic-cancer-detection."""
    ids = [f"{k:040x}" for k in range(1, 7)]
    for k, name in enumerate(ids):
        made.image(f"train/{name}.tif", str(k % 2))
    made.image("test/0b2ea2a822ad23fdb1b5dd26653da899fbd2c0d5.tif")
    made.text("train_labels.csv", "id,label", *(f"{name},{k % 2}" for k, name in enumerate(ids)))
    made.text("sample_submission.csv", "id,label", "0b2ea2a822ad23fdb1b5dd26653da899fbd2c0d5,0")


def nih(made: Folder) -> None:
    """Source: nihcc.app.box.com/v/ChestXray-NIHCC."""
    rows = []
    findings = ("Cardiomegaly|Effusion", "No Finding", "Effusion", "Cardiomegaly")
    for k in range(6):
        made.image(f"images_{1 + k // 3:03}/images/{1 + k // 2:08}_{k % 2:03}.png", str(int(k % 4 in (0, 3))))
        rows.append(f"{1 + k // 2:08}_{k % 2:03}.png,{findings[k % 4]},0,{1 + k // 2},58,M,PA,2682,2749,0.143,0.143,")
    made.text(
        "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],",
        *rows,
    )


def chexpert(made: Folder) -> None:
    """Source: stanfordmlgroup.github.io/competitions/chexpert."""
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity"
    cells = ("1.0", "0.0", "-1.0", "")
    for part, split, count in (("train", TRAIN, 6), ("valid", VALID, 2)):
        rows = []
        for k in range(count):
            path = f"CheXpert-v1.0-small/{part}/patient{k + 1:05}/study1/view1_frontal.jpg"
            cell = cells[k % 4]
            made.image(path, None if cell == "-1.0" else str(int(cell == "1.0")), split)
            rows.append(f"{path},Female,68,Frontal,AP,,,{cell},1.0")
        made.text(f"CheXpert-v1.0-small/{part}.csv", header, *rows)


def pad_ufes(made: Folder) -> None:
    """Source: doi.org/10.17632/zr7vgbcyr2.1."""
    rows = []
    for k in range(6):
        label = ("NEV", "BCC", "ACK")[k % 3]
        made.image(f"images/imgs_part_{1 + k % 2}/PAT_{k // 2}_{k}_{820 + k}.png", label)
        rows.append(f"PAT_{k // 2},{k},False,False,55,NECK,6.0,5.0,{label},True,PAT_{k // 2}_{k}_{820 + k}.png,True")
    columns = "patient_id,lesion_id,smoke,drink,age,region,diameter_1,diameter_2,diagnostic,itch,img_id,biopsed"
    made.text("metadata.csv", columns, *rows)


def odir(made: Folder) -> None:
    """Source: kaggle.com/datasets/andrewmvd/ocular-disease-recognition-odir5k."""
    rows = []
    for k in range(6):
        label, name = "NDG"[k % 3], f"{k}_{('right', 'left')[k % 2]}.jpg"
        made.image(f"preprocessed_images/{name}", f"['{label}']")
        hot = [int(letter == label) for letter in "NDGCAHMO"]
        cells = ",".join(map(str, hot))
        rows.append(
            f"{k},69,Female,{k}_left.jpg,{k}_right.jpg,cataract,normal fundus,{cells},"
            f"../input/ocular-disease-recognition-odir5k/ODIR-5K/Training Images/{name},['{label}'],\"{hot}\",{name}"
        )
    made.text(
        "full_df.csv",
        "ID,Patient Age,Patient Sex,Left-Fundus,Right-Fundus,Left-Diagnostic Keywords,Right-Diagnostic Keywords,"
        "N,D,G,C,A,H,M,O,filepath,labels,target,filename",
        *rows,
    )


def ddr(made: Folder) -> None:
    """Source: github.com/nkicsl/DDR-dataset; name and grade, parted by a space, from memory."""
    for part, split in (("train", TRAIN), ("valid", VALID), ("test", TEST)):
        names = [f"007-{k:04}-{len(part)}00.jpg" for k in range(3)]
        for k, name in enumerate(names):
            made.image(f"{part}/{name}", str(k % 2), split)
        made.text(f"{part}.txt", *(f"{name} {k % 2}" for k, name in enumerate(names)))


def roboflow_csv(made: Folder) -> None:
    """Source: docs.roboflow.com, multi-class CSV."""
    labels = ("Platelets", "RBC", "WBC")
    for part in ("train", "valid"):
        rows = []
        for k in range(4 if part == "train" else 2):
            name = f"BloodImage_{k:05}_jpg.rf.{part}{k:028x}.jpg"
            made.image(f"{part}/{name}", *([labels[k % 3]] if part == "train" else []))
            rows.append(f"{name}, {', '.join(str(int(k % 3 == column)) for column in range(3))}")
        made.text(f"{part}/_classes.csv", f"filename, {', '.join(labels)}", *rows)


def huggingface_folder(made: Folder) -> None:
    """Source: huggingface.co/docs/datasets/image_dataset."""
    rows = []
    for k in range(6):
        made.image(f"train/{k:04}.png", ("cat", "dog")[k % 2])
        rows.append(f"{k:04}.png,{('cat', 'dog')[k % 2]}")
    made.text("train/metadata.csv", "file_name,label", *rows)


def bccd_table(made: Folder) -> None:
    """Source: kaggle.com/datasets/paultimothymooney/blood-cells."""
    labels = ("EOSINOPHIL", "LYMPHOCYTE", "MONOCYTE", "NEUTROPHIL")
    for part, split in (("TRAIN", TRAIN), ("TEST", TEST)):
        made.classes(f"images/{part}", labels, "_{k}_1414.jpeg", 2, split)
    made.image("images/TEST_SIMPLE/EOSINOPHIL/_0_5239.jpeg")  # lab names this folder as one that it does not read
    made.text("labels.csv", ",Image,Category", "0,0,NEUTROPHIL", '1,1,"NEUTROPHIL, NEUTROPHIL"')
