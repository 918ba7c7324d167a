#include "data/jpeg_memory.h"

#include <cstring>

// A whole-picture array of coefficients (progressive files). libjpeg knows only its name.
struct jvirt_barray_control {
  JBLOCKARRAY rows;
  JDIMENSION blocks_per_row;
  JDIMENSION row_count;
  jvirt_barray_ptr next;
};

namespace thimble {
namespace {

// libjpeg-turbo's SIMD code may write up to two vectors beyond the end of a row.
constexpr size_t kRowAlignment = 64;

CReader& reader_of(j_common_ptr cinfo) { return *static_cast<CReader*>(cinfo->client_data); }

// `manager` is the first member, so that the one address stands for both.
JpegMemory& memory_of(j_common_ptr cinfo) { return *reinterpret_cast<JpegMemory*>(cinfo->mem); }

void* allocate(j_common_ptr cinfo, int, size_t bytes) { return reader_of(cinfo).take(bytes); }

template <class Row>
Row* allocate_rows(j_common_ptr cinfo, size_t row_bytes, JDIMENSION count) {
  const size_t stride = (row_bytes + kRowAlignment - 1) / kRowAlignment * kRowAlignment;
  auto** rows = static_cast<Row*>(reader_of(cinfo).take(count * sizeof(Row)));
  auto* data = static_cast<char*>(reader_of(cinfo).take(count * stride));
  for (JDIMENSION i = 0; i < count; ++i) rows[i] = reinterpret_cast<Row>(data + i * stride);
  return rows;
}

JSAMPARRAY allocate_samples(j_common_ptr cinfo, int, JDIMENSION width, JDIMENSION count) {
  return allocate_rows<JSAMPROW>(cinfo, width * sizeof(JSAMPLE), count);
}

JBLOCKARRAY allocate_blocks(j_common_ptr cinfo, int, JDIMENSION width, JDIMENSION count) {
  return allocate_rows<JBLOCKROW>(cinfo, width * sizeof(JBLOCK), count);
}

jvirt_barray_ptr request_blocks(j_common_ptr cinfo, int pool, boolean, JDIMENSION width,
                                JDIMENSION count, JDIMENSION) {
  auto* array = static_cast<jvirt_barray_ptr>(allocate(cinfo, pool, sizeof(jvirt_barray_control)));
  *array = {nullptr, width, count, memory_of(cinfo).requested};
  memory_of(cinfo).requested = array;
  return array;
}

void allocate_requested(j_common_ptr cinfo) {
  for (jvirt_barray_ptr a = memory_of(cinfo).requested; a != nullptr; a = a->next) {
    a->rows = allocate_blocks(cinfo, JPOOL_IMAGE, a->blocks_per_row, a->row_count);
    // Coefficients that no scan sends are zero.
    for (JDIMENSION i = 0; i < a->row_count; ++i) {
      std::memset(a->rows[i], 0, a->blocks_per_row * sizeof(JBLOCK));
    }
  }
  memory_of(cinfo).requested = nullptr;
}

JBLOCKARRAY access_blocks(j_common_ptr cinfo, jvirt_barray_ptr array, JDIMENSION first,
                          JDIMENSION count, boolean) {
  if (array->rows == nullptr || first + count > array->row_count) {
    reader_of(cinfo).abandon("rows out of range");
  }
  return array->rows + first;
}

// Whole-picture sample arrays serve only colour quantisation, which is never switched on.
jvirt_sarray_ptr request_samples(j_common_ptr cinfo, int, boolean, JDIMENSION, JDIMENSION,
                                 JDIMENSION) {
  reader_of(cinfo).abandon("unsupported");
}

JSAMPARRAY access_samples(j_common_ptr cinfo, jvirt_sarray_ptr, JDIMENSION, JDIMENSION, boolean) {
  reader_of(cinfo).abandon("unsupported");
}

void free_nothing(j_common_ptr, int) {}  // the pool is emptied after each picture

void destroy(j_common_ptr cinfo) {
  cinfo->mem = memory_of(cinfo).original;
  cinfo->mem->self_destruct(cinfo);
}

}  // namespace

void use_pool(jpeg_decompress_struct& cinfo, JpegMemory& memory) {
  memory.original = cinfo.mem;
  memory.requested = nullptr;
  memory.manager = *cinfo.mem;
  memory.manager.alloc_small = allocate;
  memory.manager.alloc_large = allocate;
  memory.manager.alloc_sarray = allocate_samples;
  memory.manager.alloc_barray = allocate_blocks;
  memory.manager.request_virt_sarray = request_samples;
  memory.manager.request_virt_barray = request_blocks;
  memory.manager.realize_virt_arrays = allocate_requested;
  memory.manager.access_virt_sarray = access_samples;
  memory.manager.access_virt_barray = access_blocks;
  memory.manager.free_pool = free_nothing;
  memory.manager.self_destruct = destroy;
  cinfo.mem = &memory.manager;
}

}  // namespace thimble
