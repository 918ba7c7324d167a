#include "base/hash.h"

#include <gtest/gtest.h>

namespace thimble {
namespace {

// Of the authors' own table; first weights and names of files depend on them.
TEST(Hash, IsFnv1a) {
  EXPECT_EQ(hash_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(hash_of("a"), 0xaf63dc4c8601ec8cu);
  EXPECT_EQ(hash_of("foobar"), 0x85944171f73967e8u);
}

}  // namespace
}  // namespace thimble
