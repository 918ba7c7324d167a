#pragma once

namespace thimble {

// Sanitizers make a program several times slower: tests that try many sizes of the same thing try
// fewer of them then, since the release build tries them all.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace thimble
