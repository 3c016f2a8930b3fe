"""What a simpler method gives: references that need no net, made from the same files.

``era5_land``
    The soil water of the top layer as it is.
``era5_land_rescaled``
    Rescaled to SMAP: mean and variance of each 36 km cell matched on the training split, the noise variance of SMAP
    taken out, coefficients interpolated (:mod:`~pscnet.baselines.rescaling`).
``smap_interpolated``
    SMAP smoothed in time with a Gaussian on both sides and interpolated bilinearly
    (:mod:`~pscnet.baselines.smoothing`).
``smap_kriged``
    SMAP's departures from its training mean kriged in space and time (:mod:`~pscnet.baselines.kriging`).
``optimal_interpolation``
    Rescaled ERA5-Land plus kriged innovations: the bar that counts, since it uses both sources and learns nothing
    but six numbers.

With the scored overpass left out they are the bars for agreement with held-out SMAP.
"""
