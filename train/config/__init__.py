"""Every setting of a run, and how flags and presets become one."""
