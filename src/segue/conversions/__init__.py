"""Results as other programs have them: COCO records, ``Detections`` of supervision, labels of FiftyOne."""
