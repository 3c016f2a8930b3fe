"""The page of a run: what its scripts draw, its pictures, and all of it in one file. The scripts lie in ``assets``."""
