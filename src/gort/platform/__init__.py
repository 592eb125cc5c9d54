"""The one seam between the scheduler and the machine.

Every lock, atomic, thread, clock, random number and poll of the runtime comes
from here. Compiled modules cimport `native`; uncompiled ones import what this
package exports: `pure`, or the simulator's platform under the simulator.
"""

from .pure import *
