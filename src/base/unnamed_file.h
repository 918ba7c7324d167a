#pragma once

#include <string>

namespace thimble {

// Opens a new file in the folder that nobody else can see and that is gone when it is closed, in
// whatever way; where the file system cannot do that, one with a name for a moment. Below 0: it
// could not be made, errno says why.
int open_unnamed(const std::string& folder);

}  // namespace thimble
