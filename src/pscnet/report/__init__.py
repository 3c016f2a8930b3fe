"""What a person looks at: one self-contained page, its figures for print, and a quicklook of each month.

The truth is read nowhere here: what the page shows of it comes in the scores, the findings and the series at places.
"""
