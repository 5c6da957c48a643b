/* CUDA 13, cuBLAS and cuDNN 9 that do nothing: for tests alone, on machines without a GPU.
 *
 * ONNX Runtime's own CUDA provider runs on them: which nodes it takes, which engines it accepts, and what it calls are
 * real. Results are zeros and times mean nothing. helpers/idle_cuda.py builds one library of this file and of a NOTHING
 * line for each other function that the provider links to, and shows it to a child process in place of NVIDIA's.
 *
 * Functions have the names and arguments of NVIDIA's documentation; trailing arguments that are not read are left out,
 * which the calling convention of x86-64 and AArch64 allows. Every function returns 0, success, unless memory is short.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void *Handle;

struct Counter {
    const char *name;
    long calls;
};
extern struct Counter __start_counters[], __stop_counters[]; /* the linker's, around the section of all counters */

#define COUNTER(event) static struct Counter event##_counter __attribute__((section("counters"), used)) = {#event, 0}
#define COUNT(event) event##_counter.calls++
/* A function that only counts its calls. */
#define NOTHING(function)  \
    COUNTER(function); \
    int function(void) { return COUNT(function), 0; }

/* The calls that the counter of this number has counted, and its name; -1 behind the last. */
long idle_calls(int number, const char **name) {
    struct Counter *counter = __start_counters + number;
    return counter < __stop_counters ? (*name = counter->name, counter->calls) : -1;
}

static int set(int *to, int value) { return *to = value, 0; }
static int make(Handle *to) { return *to = calloc(1, 64), *to ? 0 : 2 /* cudaErrorMemoryAllocation */; }

/* The device: an H100's compute capability, processors and memory. */

enum { MULTIPROCESSORS = 132, MAJOR = 9, MINOR = 0, WARP = 32, THREADS = 1024, REGISTERS = 65536, SHARED = 49152 };
static const size_t MEMORY = (size_t)80 << 30;

struct cudaDeviceProp { /* the first fields of CUDA 13's */
    char name[256], uuid[16], luid[8];
    unsigned luidDeviceNodeMask;
    size_t totalGlobalMem, sharedMemPerBlock;
    int regsPerBlock, warpSize;
    size_t memPitch;
    int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
    size_t totalConstMem;
    int major, minor;
    size_t textureAlignment, texturePitchAlignment;
    int multiProcessorCount;
};

int cudaGetDeviceProperties(struct cudaDeviceProp *to) {
    *to = (struct cudaDeviceProp){
        .name = "CUDA that does nothing", .totalGlobalMem = MEMORY, .sharedMemPerBlock = SHARED,
        .regsPerBlock = REGISTERS, .warpSize = WARP, .maxThreadsPerBlock = THREADS,
        .maxThreadsDim = {THREADS, THREADS, 64}, .maxGridSize = {INT32_MAX, 65535, 65535}, .totalConstMem = 65536,
        .major = MAJOR, .minor = MINOR, .multiProcessorCount = MULTIPROCESSORS,
    };
    return 0;
}

int cudaDeviceGetAttribute(int *to, int attribute) {
    switch (attribute) { /* cudaDeviceAttr */
        case 1: return set(to, THREADS);
        case 8: return set(to, SHARED);
        case 10: return set(to, WARP);
        case 12: return set(to, REGISTERS);
        case 16: return set(to, MULTIPROCESSORS);
        case 75: return set(to, MAJOR);
        case 76: return set(to, MINOR);
        default: return set(to, 0);
    }
}

int cudaGetDeviceCount(int *to) { return set(to, 1); }
int cudaGetDevice(int *to) { return set(to, 0); }
int cudaDriverGetVersion(int *to) { return set(to, 13000); }
int cudaRuntimeGetVersion(int *to) { return set(to, 13000); }
const char *cudaGetErrorName(void) { return "an error of CUDA"; }
const char *cudaGetErrorString(void) { return "an error of CUDA"; }

/* Memory: the host's, zeros at first. */

int cudaMalloc(Handle *to, size_t bytes) {
    size_t rounded = (bytes + 511) / 512 * 512; /* CUDA aligns to 256 bytes or more */
    *to = aligned_alloc(512, rounded ? rounded : 512);
    return *to ? (memset(*to, 0, rounded), 0) : 2;
}
int cudaMallocHost(Handle *to, size_t bytes) { return cudaMalloc(to, bytes); }
int cudaHostAlloc(Handle *to, size_t bytes) { return cudaMalloc(to, bytes); }
int cudaFree(Handle memory) { return free(memory), 0; }
int cudaFreeHost(Handle memory) { return free(memory), 0; }
int cudaMemGetInfo(size_t *unused, size_t *total) { return *unused = *total = MEMORY, 0; }

COUNTER(cudaMemcpy);
COUNTER(cudaMemcpyAsync);
int cudaMemcpy(Handle to, const void *from, size_t bytes) { return COUNT(cudaMemcpy), memmove(to, from, bytes), 0; }
int cudaMemcpyAsync(Handle to, const void *from, size_t bytes) {
    return COUNT(cudaMemcpyAsync), memmove(to, from, bytes), 0;
}
int cudaMemset(Handle to, int value, size_t bytes) { return memset(to, value, bytes), 0; }
int cudaMemsetAsync(Handle to, int value, size_t bytes) { return memset(to, value, bytes), 0; }

/* Streams, events and graphs: handles. Work that a graph would record is not done, as none is. */

static int capturing;

int cudaStreamCreate(Handle *to) { return make(to); }
int cudaStreamCreateWithFlags(Handle *to) { return make(to); }
int cudaStreamDestroy(Handle stream) { return free(stream), 0; }
int cudaEventCreate(Handle *to) { return make(to); }
int cudaEventCreateWithFlags(Handle *to) { return make(to); }
int cudaEventDestroy(Handle event) { return free(event), 0; }
int cudaStreamBeginCapture(void) { return set(&capturing, 1); }
int cudaStreamIsCapturing(Handle stream, int *to) { return set(to, capturing); }
int cudaStreamEndCapture(Handle stream, Handle *to) { return capturing = 0, make(to); }
int cudaGraphInstantiate(Handle *to) { return make(to); }
int cudaGraphDestroy(Handle graph) { return free(graph), 0; }
int cudaGraphExecDestroy(Handle graph) { return free(graph), 0; }
Handle *__cudaRegisterFatBinary(void) {
    static Handle binary;
    return &binary;
}

/* cuBLAS */

int cublasCreate_v2(Handle *to) { return make(to); }
int cublasDestroy_v2(Handle handle) { return free(handle), 0; }
int cublasLtCreate(Handle *to) { return make(to); }
int cublasLtDestroy(Handle handle) { return free(handle), 0; }
int cublasGetMathMode(Handle handle, int *to) { return set(to, 0); }
const char *cublasGetStatusName(void) { return "a status of cuBLAS"; }
const char *cublasGetStatusString(void) { return "a status of cuBLAS"; }

/* cuDNN, which the provider loads by name, so that no NOTHING line is made for it */

int cudnnCreate(Handle *to) { return make(to); }
int cudnnDestroy(Handle handle) { return free(handle), 0; }
size_t cudnnGetVersion(void) { return 92400; }
const char *cudnnGetErrorString(void) { return "a status of cuDNN"; }
void cudnnGetLastErrorString(char *to, size_t size) { strncpy(to, "an error of cuDNN", size); }
NOTHING(cudnnSetStream)
NOTHING(cudnnGetStream)
NOTHING(cudnnSetTensorNdDescriptor)
NOTHING(cudnnSetPoolingNdDescriptor)
NOTHING(cudnnAddTensor)
NOTHING(cudnnPoolingForward)
#define DESCRIPTOR(kind)                                            \
    int cudnnCreate##kind##Descriptor(Handle *to) { return make(to); } \
    int cudnnDestroy##kind##Descriptor(Handle descriptor) { return free(descriptor), 0; }
DESCRIPTOR(Tensor)
DESCRIPTOR(Filter)
DESCRIPTOR(Convolution)
DESCRIPTOR(Pooling)

/* cuDNN's graphs. The real library offers many engines; these are the two kinds that decide what ONNX Runtime does.
 * For float16 there is one engine, which uses the tensor cores, as the real ones for most convolutions do; for float32
 * there is a second one without them, and so without TF32. */

struct Descriptor {
    int type, plain; /* cudnnBackendDescriptorType_t; of an engine and its configuration: it has no numerical note */
};
enum { HALF = 2, TENSOR_CORE = 0, ENGINEHEUR = 4, EXECUTION_PLAN = 5 };
enum { /* cudnnBackendAttributeName_t */
    ENGINEHEUR_RESULTS = 202, ENGINECFG_ENGINE = 300, ENGINECFG_SHARED_MEMORY_USED = 304,
    EXECUTION_PLAN_WORKSPACE_SIZE = 402, TENSOR_DATA_TYPE = 901, ENGINE_GLOBAL_INDEX = 1301,
    ENGINE_NUMERICAL_NOTE = 1303,
};

static int half; /* whether the newest tensor is float16 */
COUNTER(heuristics);
COUNTER(plans);
NOTHING(cudnnBackendExecute)

int cudnnBackendCreateDescriptor(int type, struct Descriptor **to) {
    int status = make((Handle *)to);
    return status ? status : ((*to)->type = type, 0);
}
int cudnnBackendDestroyDescriptor(struct Descriptor *descriptor) { return free(descriptor), 0; }
int cudnnBackendSetAttribute(struct Descriptor *of, int name, int type, int64_t count, const int *value) {
    return name == TENSOR_DATA_TYPE ? set(&half, *value == HALF) : 0;
}
int cudnnBackendFinalize(struct Descriptor *descriptor) {
    if (descriptor->type == ENGINEHEUR) COUNT(heuristics);
    if (descriptor->type == EXECUTION_PLAN) COUNT(plans);
    return 0;
}
int cudnnBackendGetAttribute(struct Descriptor *of, int name, int type, int64_t room, int64_t *count, Handle to) {
    int64_t ignored, available = 1;
    struct Descriptor **found = to;
    count = count ? count : &ignored;
    switch (name) {
        case ENGINEHEUR_RESULTS:
            available = half ? 1 : 2;
            if (to && room > 1) found[1]->plain = 1;
            break;
        case ENGINECFG_ENGINE:
            if (to && room) found[0]->plain = of->plain;
            break;
        case ENGINE_NUMERICAL_NOTE:
            available = of->plain ? 0 : 1;
            if (to && room && available) *(int *)to = TENSOR_CORE;
            break;
        case ENGINECFG_SHARED_MEMORY_USED:
            if (to && room) *(int *)to = 0;
            break;
        case ENGINE_GLOBAL_INDEX:
        case EXECUTION_PLAN_WORKSPACE_SIZE:
            if (to && room) *(int64_t *)to = of->plain;
            break;
        default:
            available = 0;
    }
    *count = available;
    return 0;
}
