# thimble_registry(OUT FOLDER GLOB RETURN PREFIX BODY...): the folder is the registry.
# Writes a C++ file that calls one function for each source file, so that adding a file is enough.
# (Self-registering static objects would be dropped by the linker from a static library.)
function(thimble_op_registry out)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/ops ${PROJECT_SOURCE_DIR}/src/ops/*.cpp)
  set(declarations "")
  set(calls "")
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(APPEND declarations "void define_${stem}(OpTable& table);\n")
    string(APPEND calls "  define_${stem}(table);\n")
  endforeach()
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"#include \"ops/core/op.h\"
namespace thimble {
${declarations}
void define_all_ops(OpTable& table);
void define_all_ops(OpTable& table) {
${calls}}
}  // namespace thimble
")
endfunction()

# A table of references: each src/<folder>/<file_prefix><name>.cpp defines
# `const <type>& <function_prefix><name>();`, and `<table>()` lists them all.
function(thimble_table_registry out folder file_prefix header type function_prefix table)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/src/${folder}
       ${PROJECT_SOURCE_DIR}/src/${folder}/${file_prefix}*.cpp)
  set(declarations "")
  set(entries "")
  foreach(file ${files})
    get_filename_component(stem ${file} NAME_WE)
    string(LENGTH "${file_prefix}" prefix_length)
    string(SUBSTRING "${stem}" ${prefix_length} -1 name)
    string(APPEND declarations "const ${type}& ${function_prefix}${name}();\n")
    string(APPEND entries "      &${function_prefix}${name}(),\n")
  endforeach()
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"#include \"${header}\"
namespace thimble {
${declarations}
const std::vector<const ${type}*>& ${table}() {
  static const std::vector<const ${type}*> entries = {
${entries}  };
  return entries;
}
}  // namespace thimble
")
endfunction()
