/* What a measurement takes that native code does nothing for: the same calls as those of the
   package, with the same arguments, by the fastest means of CPython's whole C API. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stddef.h>

#define MAX_SPARE 32

typedef struct {
    PyObject_HEAD
    vectorcallfunc call;
} Instance;

static PyTypeObject Measurement, Series;
static PyObject *spare[MAX_SPARE];
static int spares;

static PyObject *nothing(PyObject *this, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    Py_RETURN_NONE;
}

static PyObject *called(PyObject *this, PyObject *const *arguments, size_t count, PyObject *names)
{
    Py_RETURN_NONE;
}

static PyObject *make(PyObject *class, PyObject *const *arguments, size_t count, PyObject *names)
{
    return spares ? PyObject_Init(spare[--spares], &Measurement)
                  : PyType_GenericAlloc(&Measurement, 0);
}

static void drop(PyObject *this)
{
    if (spares < MAX_SPARE)
        spare[spares++] = this;
    else
        PyObject_Free(this);
}

static PyObject *series(PyObject *this, PyObject *const *arguments, Py_ssize_t count, PyObject *names)
{
    Instance *made = (Instance *)PyType_GenericAlloc(&Series, 0);
    if (made)
        made->call = called;
    return (PyObject *)made;
}

#define FAST METH_FASTCALL | METH_KEYWORDS
#define FUNCTION(function) (PyCFunction)(void (*)(void))function

static PyMethodDef methods[] = {
    {"set_tag", FUNCTION(nothing), FAST, ""},
    {"set_tags", FUNCTION(nothing), FAST, ""},
    {"set_field", FUNCTION(nothing), FAST, ""},
    {NULL},
};

static PyMethodDef functions[] = {
    {"add_measurement", FUNCTION(nothing), FAST, ""},
    {"record", FUNCTION(nothing), FAST, ""},
    {"series", FUNCTION(series), FAST, ""},
    {NULL},
};

static PyTypeObject Measurement = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor.Measurement",
    .tp_basicsize = sizeof(Instance),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = methods,
    .tp_vectorcall = make,
    .tp_dealloc = drop,
};

static PyTypeObject Series = {
    PyVarObject_HEAD_INIT(NULL, 0)
    .tp_name = "floor.Series",
    .tp_basicsize = sizeof(Instance),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL,
    .tp_vectorcall_offset = offsetof(Instance, call),
    .tp_call = PyVectorcall_Call,
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "floor",
    .m_size = -1,
    .m_methods = functions,
};

PyMODINIT_FUNC PyInit_floor(void)
{
    if (PyType_Ready(&Measurement) || PyType_Ready(&Series))
        return NULL;
    PyObject *made = PyModule_Create(&module);
    if (made && PyModule_AddObjectRef(made, "Measurement", (PyObject *)&Measurement))
        Py_CLEAR(made);
    return made;
}
