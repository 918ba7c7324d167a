#pragma once

#include <array>
#include <csetjmp>
#include <cstdio>
#include <string_view>

#include "base/bytes.h"
#include "data/bump_pool.h"
#include "data/file_stream.h"

namespace thimble {

// What an image library needs to read a file and to fail. These libraries are C and report errors
// by a call that must not return: it jumps back into `guarded`, over C frames only.
struct CReader {
  FileStream* file = nullptr;
  BumpPool* pool = nullptr;
  bool out_of_memory = false;
  std::jmp_buf jump;
  std::array<char, 256> message = {};

  [[noreturn]] void abandon(std::string_view reason) {
    std::snprintf(message.data(), message.size(), "%.*s", static_cast<int>(reason.size()),
                  reason.data());
    std::longjmp(jump, 1);
  }

  // A piece of the pool; abandons when there is none.
  void* take(size_t bytes) {
    void* piece = pool->take(bytes);
    if (piece == nullptr) {
      out_of_memory = true;
      abandon("out of memory");
    }
    return piece;
  }
};

// Runs `body`; false when it was abandoned. `body` must not own anything with a destructor, and no
// function that it calls may throw.
template <class Body>
bool guarded(CReader& reader, const Body& body) {
  if (setjmp(reader.jump) != 0) return false;
  body();
  return true;
}

// Throws UserError for an abandoned body. `kind` is as in "progressive JPEG".
[[noreturn]] inline void fail_reading(const CReader& reader, const char* kind, int64_t height,
                                      int64_t width) {
  if (!reader.out_of_memory) reader.file->fail("broken ", kind, ": ", reader.message.data());
  reader.file->fail(
      kind, " of ", width, "x", height, " needs at least ",
      format_bytes(static_cast<int64_t>(reader.pool->needed())), " to decode and has ",
      format_bytes(static_cast<int64_t>(reader.pool->size())),
      "; hint: give it more (--decode-memory), or store the picture smaller or line by line");
}

}  // namespace thimble
