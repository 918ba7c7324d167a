#pragma once

#include <string_view>

namespace thimble {

// The text of src/report/page/<name>, as it was when the program was built (cmake/embed.cmake);
// empty when there is no such file.
std::string_view page_part(std::string_view name);

}  // namespace thimble
