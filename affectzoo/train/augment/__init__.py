"""Random changes to training batches."""

from affectzoo.train.augment.batch import augment
from affectzoo.train.augment.checks import check_augment, effective

__all__ = ["augment", "check_augment", "effective"]
