"""PSCNet: seamless 10 km, 3-hourly soil moisture from SMAP and ERA5-Land."""

__version__ = "0.1.0"
