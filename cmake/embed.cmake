# thimble_embed(OUT FOLDER HEADER FUNCTION): the files of a folder as strings in the program, found by
# name (FUNCTION, declared in HEADER), so that they stay files that an editor and a browser know.
function(thimble_embed out folder header function)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/${folder}
       ${PROJECT_SOURCE_DIR}/${folder}/*)
  set(entries "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
                 ${PROJECT_SOURCE_DIR}/${folder}/${file})
    file(READ ${PROJECT_SOURCE_DIR}/${folder}/${file} text)
    string(APPEND entries "  if (name == \"${file}\") return R\"~part~(${text})~part~\";\n")
  endforeach()
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"#include \"${header}\"
namespace thimble {
std::string_view ${function}(std::string_view name) {
${entries}  return {};
}
}  // namespace thimble
")
endfunction()
