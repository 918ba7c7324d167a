# The oneDNN backend, and our vector kernels, which are compiled once per instruction set and
# chosen when the program starts.
list(APPEND CMAKE_MODULE_PATH ${PROJECT_SOURCE_DIR}/cmake)
find_package(OneDNN REQUIRED)
file(GLOB onednn_sources CONFIGURE_DEPENDS src/backends/onednn/*.cpp
     src/backends/onednn/kernels/*.cpp src/backends/onednn/vector/*.cpp)
target_sources(thimble PRIVATE ${onednn_sources})
target_compile_definitions(thimble PRIVATE THIMBLE_HAS_ONEDNN)
target_link_libraries(thimble PRIVATE OneDNN::dnnl)

# Fused multiply-add is welcome here: forward and backward share one expression in one file.
set(vector_flags -O3 -ffp-contract=fast -Wno-psabi)
set(vector ${PROJECT_SOURCE_DIR}/src/backends/onednn/vector)
set_source_files_properties(${vector}/baseline.cpp PROPERTIES COMPILE_OPTIONS "${vector_flags}")
set_source_files_properties(${vector}/baseline.cpp ${vector}/avx2.cpp ${vector}/avx512.cpp
  PROPERTIES SKIP_PRECOMPILE_HEADERS ON)  # of other flags
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set_source_files_properties(${vector}/avx2.cpp PROPERTIES COMPILE_OPTIONS
    "${vector_flags};-mavx2;-mfma")
  set_source_files_properties(${vector}/avx512.cpp PROPERTIES COMPILE_OPTIONS
    "${vector_flags};-mavx2;-mfma;-mavx512f;-mavx512vl;-mavx512bw;-mavx512dq;-mprefer-vector-width=512")
endif()

file(GLOB kernel_files CONFIGURE_DEPENDS src/backends/onednn/kernels/*.cpp)
set(declarations "")
set(calls "")
foreach(file ${kernel_files})
  get_filename_component(stem ${file} NAME_WE)
  string(APPEND declarations "void define_fast_${stem}(Choosers& choosers);\n")
  string(APPEND calls "  define_fast_${stem}(choosers);\n")
endforeach()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/onednn_kernels.cpp @ONLY CONTENT
"#include \"backends/onednn/onednn.h\"
namespace thimble::onednn {
${declarations}
void define_all_fast(Choosers& choosers) {
${calls}}
}  // namespace thimble::onednn
")
target_sources(thimble PRIVATE ${PROJECT_BINARY_DIR}/generated/onednn_kernels.cpp)
