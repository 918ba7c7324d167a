# thimble_embed(OUT FOLDER): the files of a folder as strings in the program, found by name
# (`page_part` in report/page_parts.h), so that they stay files that an editor and a browser know.
function(thimble_embed out folder)
  file(GLOB files CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/${folder}
       ${PROJECT_SOURCE_DIR}/${folder}/*)
  set(entries "")
  foreach(file ${files})
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
                 ${PROJECT_SOURCE_DIR}/${folder}/${file})
    file(READ ${PROJECT_SOURCE_DIR}/${folder}/${file} text)
    string(APPEND entries "  if (name == \"${file}\") return R\"~part~(${text})~part~\";\n")
  endforeach()
  file(CONFIGURE OUTPUT ${out} @ONLY CONTENT
"#include \"report/page_parts.h\"
#include \"base/error.h\"
namespace thimble {
std::string_view page_part(std::string_view name) {
${entries}  throw InternalError(str_cat(\"there is no page part \", name));
}
}  // namespace thimble
")
endfunction()
