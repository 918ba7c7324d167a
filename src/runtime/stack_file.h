#pragma once

#include <string_view>

namespace thimble {

// The text of src/stacks/<name>, such as "wearable-stack/c1.json", as it was when the program was
// built (cmake/embed.cmake); empty when there is no such file.
std::string_view stack_file(std::string_view name);

}  // namespace thimble
