"""Names of COCO's 80 object classes, by the numbers of its annotations, which have gaps."""

from __future__ import annotations

_NAMES = (
    (1, "person bicycle car motorcycle airplane bus train truck boat traffic_light fire_hydrant"),
    (13, "stop_sign parking_meter bench bird cat dog horse sheep cow elephant bear zebra giraffe"),
    (27, "backpack umbrella"),
    (31, "handbag tie suitcase frisbee skis snowboard sports_ball kite baseball_bat"),
    (40, "baseball_glove skateboard"),
    (42, "surfboard tennis_racket bottle"),
    (46, "wine_glass cup fork knife spoon bowl banana apple sandwich orange broccoli carrot hot_dog pizza"),
    (60, "donut cake chair couch potted_plant bed"),
    (67, "dining_table"),
    (70, "toilet"),
    (72, "tv laptop mouse remote keyboard cell_phone microwave oven toaster sink refrigerator"),
    (84, "book clock vase scissors teddy_bear hair_drier toothbrush"),
)

COCO_NAMES: dict[int, str] = {
    number: name.replace("_", " ")
    for first, run in _NAMES
    for number, name in enumerate(run.split(), start=first)
}
"""Numbers of torchvision's detectors, 1 to 90."""

COCO_ORDER: dict[int, str] = dict(enumerate(COCO_NAMES.values()))
"""Numbers of Detectron 2, 0 to 79."""
