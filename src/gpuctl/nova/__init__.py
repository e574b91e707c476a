"""Nova: what each release reads (releases), its configuration written (config) and judged (lint)."""
