"""What a person looks at: one self-contained page and three figures for each run.

The truth is read nowhere here: what the page shows of it comes in the scores and in the series at places.
"""
