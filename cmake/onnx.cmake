# thimble-onnx, a program of its own: libonnx and protobuf are never part of the library or of the
# training program. Its sources but main are a library for the tests.
find_path(ONNX_INCLUDE_DIR onnx/onnx_pb.h REQUIRED)
find_library(ONNX_LIBRARY onnx REQUIRED)
find_library(ONNX_PROTO_LIBRARY onnx_proto REQUIRED)
find_library(PROTOBUF_LIBRARY protobuf REQUIRED)

file(GLOB onnx_sources CONFIGURE_DEPENDS src/onnx/*.cpp)
list(FILTER onnx_sources EXCLUDE REGEX "/program.cpp")
add_library(thimble_onnx STATIC ${onnx_sources})
target_include_directories(thimble_onnx PUBLIC src)
target_include_directories(thimble_onnx SYSTEM PUBLIC ${ONNX_INCLUDE_DIR})
target_compile_definitions(thimble_onnx PUBLIC ONNX_NAMESPACE=onnx ONNX_ML=1)
target_link_libraries(thimble_onnx PUBLIC thimble ${ONNX_LIBRARY} ${ONNX_PROTO_LIBRARY}
                      ${PROTOBUF_LIBRARY})
target_precompile_headers(thimble_onnx PRIVATE <onnx/onnx_pb.h> <algorithm> <functional> <map>
                          <string> <vector>)
thimble_warnings(thimble_onnx)

add_executable(thimble_onnx_cli src/onnx/program.cpp)
set_target_properties(thimble_onnx_cli PROPERTIES OUTPUT_NAME thimble-onnx
                      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
target_link_libraries(thimble_onnx_cli PRIVATE thimble_onnx)
thimble_warnings(thimble_onnx_cli)
