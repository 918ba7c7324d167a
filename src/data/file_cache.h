#pragma once

#include <string>

namespace thimble {

// Where what was made of a file is kept, from one run to the next, in `cache_dir` or (empty) the
// user's cache folder, which is made. Another file at this path, or a later one, has another name
// there; `suffix` comes last. Throws UserError when `path` is no file or no folder can be written.
std::string cached_file(const std::string& path, const std::string& suffix,
                        const std::string& cache_dir = {});

}  // namespace thimble
