"""Losses of masks and of video instances."""

from segue.utils.lazy import lazy_names

_MODULES = {
    "segue_train.losses.masks": "balanced_weights batch_dice bootstrapped_cross_entropy cross_entropy "
    "dice_distance dice_loss fgsegnet_loss focal_loss foreground_loss foreground_weight hofam_loss "
    "object_dice point_losses tversky_loss weighted_cross_entropy",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
