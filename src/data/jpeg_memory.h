#pragma once

#include "data/c_errors.h"
#include "data/libjpeg.h"

namespace thimble {

// Replaces libjpeg's memory manager by one that takes everything from `reader.pool`, so that a
// picture cannot use more than was booked. `reader` must be `cinfo.client_data`; `manager` must
// outlive `cinfo`. Call it right after jpeg_create_decompress().
struct JpegMemory {
  jpeg_memory_mgr manager;
  jpeg_memory_mgr* original;   // owns what jpeg_create_decompress() allocated
  jvirt_barray_ptr requested;  // arrays that are not allocated yet
};

void use_pool(jpeg_decompress_struct& cinfo, JpegMemory& memory);

}  // namespace thimble
