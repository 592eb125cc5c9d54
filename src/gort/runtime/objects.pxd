cdef extern from "objects.h":
    int rename "gort_rename"(object cls, str name) except -1
