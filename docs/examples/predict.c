/* Predicts with a model file that `lab export` wrote, in C, with ONNX Runtime's C API:
 *     cc -O2 -I INCLUDE predict.c -o predict -ldl
 *     ./predict libonnxruntime.so model.onnx image.ppm...
 *
 * INCLUDE is the folder with onnxruntime_c_api.h, from ONNX Runtime's release archive for C and C++ or from Debian's
 * libonnxruntime-dev. The library may be newer than the header: the archive's, the distribution's, or the one in the Python
 * package (site-packages/onnxruntime/capi/libonnxruntime.so.VERSION).
 *
 * An image is a binary PPM (P6, 8 bits) of the model's height and width, whose pixels are those of docs/onnx.md, "From a file
 * to pixels". For each image, one line: its path, the index of the most probable class, the probabilities in the order of
 * the card's classes. The card is JSON in the model's metadata: `--card` in place of images prints it.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnxruntime_c_api.h"

static const OrtApi *ort;

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static void check(OrtStatus *status) {
    if (status != NULL) fail("%s", ort->GetErrorMessage(status));
}

static void load_runtime(const char *path) {
    void *library = dlopen(path, RTLD_NOW);
    if (library == NULL) fail("%s", dlerror());
    const OrtApiBase *(*base)(void);
    *(void **)&base = dlsym(library, "OrtGetApiBase");
    if (base == NULL) fail("%s is not ONNX Runtime", path);
    ort = base()->GetApi(ORT_API_VERSION);
    if (ort == NULL) fail("ONNX Runtime %s is older than onnxruntime_c_api.h (API %d)", base()->GetVersionString(), ORT_API_VERSION);
}

/* The input's shape: batch (-1 if the file takes any), height, width, 3. */
static void input_shape(OrtSession *session, int64_t shape[4]) {
    OrtTypeInfo *info;
    const OrtTensorTypeAndShapeInfo *tensor;
    ONNXTensorElementDataType type;
    size_t rank;
    check(ort->SessionGetInputTypeInfo(session, 0, &info));
    check(ort->CastTypeInfoToTensorInfo(info, &tensor));
    check(ort->GetTensorElementType(tensor, &type));
    check(ort->GetDimensionsCount(tensor, &rank));
    if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 || rank != 4) fail("the model's input is not uint8 [batch, H, W, 3]");
    check(ort->GetDimensions(tensor, shape, rank));
    ort->ReleaseTypeInfo(info);
}

/* One number of a PPM's head: blanks and comments may stand before it, and one blank stands after it. */
static int64_t head_number(FILE *file) {
    int character = fgetc(file);
    while (character == '#' || character == ' ' || character == '\n' || character == '\t' || character == '\r') {
        if (character == '#') while (character != '\n' && character != EOF) character = fgetc(file);
        character = fgetc(file);
    }
    int64_t number = 0;
    for (; character >= '0' && character <= '9' && number < 1000000; character = fgetc(file)) number = 10 * number + character - '0';
    return number;
}

static void read_ppm(const char *path, int64_t height, int64_t width, uint8_t *pixels) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail("%s cannot be opened", path);
    if (fgetc(file) != 'P' || fgetc(file) != '6') fail("%s is not a binary PPM", path);
    int64_t columns = head_number(file), rows = head_number(file), largest = head_number(file);
    if (columns != width || rows != height || largest != 255)
        fail("%s has %lld x %lld pixels up to %lld; the model takes %lld x %lld up to 255", path, (long long)columns,
             (long long)rows, (long long)largest, (long long)width, (long long)height);
    size_t size = (size_t)(height * width * 3);
    if (fread(pixels, 1, size, file) != size) fail("%s is cut off", path);
    fclose(file);
}

static void print_card(OrtSession *session, OrtAllocator *allocator) {
    OrtModelMetadata *metadata;
    char *card;
    check(ort->SessionGetModelMetadata(session, &metadata));
    check(ort->ModelMetadataLookupCustomMetadataMap(metadata, allocator, "lab.card", &card));
    if (card == NULL) fail("the model has no lab.card; use a file that lab export wrote");
    puts(card);
    check(ort->AllocatorFree(allocator, card));
    ort->ReleaseModelMetadata(metadata);
}

static void print_answer(const char *path, OrtValue *output, int64_t batch) {
    OrtTensorTypeAndShapeInfo *info;
    size_t values;
    float *probabilities;
    check(ort->GetTensorTypeAndShape(output, &info));
    check(ort->GetTensorShapeElementCount(info, &values));
    check(ort->GetTensorMutableData(output, (void **)&probabilities));
    size_t classes = values / (size_t)batch, best = 0;
    for (size_t k = 1; k < classes; k++) if (probabilities[k] > probabilities[best]) best = k;
    printf("%s %zu", path, best);
    for (size_t k = 0; k < classes; k++) printf(" %.9g", probabilities[k]);
    putchar('\n');
    ort->ReleaseTensorTypeAndShapeInfo(info);
}

/* The image stands first in its batch; the rest of a fixed batch stays black. */
static void predict(OrtSession *session, const OrtMemoryInfo *memory, const int64_t shape[4], const char *path) {
    const char *inputs[] = {"images"}, *outputs[] = {"probabilities"};
    size_t size = (size_t)(shape[0] * shape[1] * shape[2] * shape[3]);
    uint8_t *pixels = calloc(size, 1);
    if (pixels == NULL) fail("not enough memory for %zu bytes", size);
    read_ppm(path, shape[1], shape[2], pixels);
    OrtValue *images = NULL, *probabilities = NULL;
    check(ort->CreateTensorWithDataAsOrtValue(memory, pixels, size, shape, 4, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8, &images));
    check(ort->Run(session, NULL, inputs, (const OrtValue *const *)&images, 1, outputs, 1, &probabilities));
    print_answer(path, probabilities, shape[0]);
    ort->ReleaseValue(probabilities);
    ort->ReleaseValue(images);
    free(pixels);
}

int main(int count, char **arguments) {
    if (count < 4) fail("usage: predict libonnxruntime.so model.onnx image.ppm... | --card");
    load_runtime(arguments[1]);
    OrtEnv *environment;
    OrtSessionOptions *options;
    OrtSession *session;
    OrtMemoryInfo *memory;
    OrtAllocator *allocator;
    int64_t shape[4];
    check(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "predict", &environment));
    check(ort->CreateSessionOptions(&options));
    check(ort->CreateSession(environment, arguments[2], options, &session));
    check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
    check(ort->GetAllocatorWithDefaultOptions(&allocator));
    input_shape(session, shape);
    if (shape[0] < 1) shape[0] = 1;
    if (strcmp(arguments[3], "--card") == 0) print_card(session, allocator);
    else for (int k = 3; k < count; k++) predict(session, memory, shape, arguments[k]);
    ort->ReleaseMemoryInfo(memory);
    ort->ReleaseSession(session);
    ort->ReleaseSessionOptions(options);
    ort->ReleaseEnv(environment);
    return 0;
}
