"""Names of the classes of COCO, by the numbers that detectors have for them."""

from __future__ import annotations

_NAMES = (
    "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant stop_sign "
    "parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack umbrella "
    "handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard "
    "surfboard tennis_racket bottle wine_glass cup fork knife spoon bowl banana apple sandwich orange "
    "broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed dining_table toilet tv laptop "
    "mouse remote keyboard cell_phone microwave oven toaster sink refrigerator book clock vase scissors "
    "teddy_bear hair_drier toothbrush"
)
_UNUSED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}

COCO_ORDER: dict[int, str] = {i: name.replace("_", " ") for i, name in enumerate(_NAMES.split())}
"""Numbers of Detectron 2, 0 to 79."""

COCO_NAMES: dict[int, str] = dict(
    zip((number for number in range(1, 91) if number not in _UNUSED), COCO_ORDER.values(), strict=True)
)
"""Numbers of torchvision's detectors, 1 to 90."""
