"""SeqFormer (ECCV 2022)."""

from segue.models.seqformer.network import Memory, SeqFormer, Size

__all__ = ["Memory", "SeqFormer", "Size"]
