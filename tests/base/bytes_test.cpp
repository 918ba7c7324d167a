#include "base/bytes.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"

namespace thimble {
namespace {

TEST(Bytes, ReadsBinaryUnits) {
  EXPECT_EQ(parse_bytes("96MiB"), 100663296);
  EXPECT_EQ(parse_bytes("1.5 GiB"), 1610612736);
  EXPECT_EQ(parse_bytes("3kib"), 3072);
  EXPECT_EQ(parse_bytes("2M"), 2097152);
  EXPECT_EQ(parse_bytes("1 TiB"), 1099511627776);
}

TEST(Bytes, ReadsDecimalUnits) {
  EXPECT_EQ(parse_bytes("350KB"), 350000);
  EXPECT_EQ(parse_bytes("1.5mb"), 1500000);
  EXPECT_EQ(parse_bytes("2GB"), 2000000000);
}

TEST(Bytes, ReadsPlainNumbersAsBytes) {
  EXPECT_EQ(parse_bytes("4096"), 4096);
  EXPECT_EQ(parse_bytes("12 B"), 12);
  EXPECT_EQ(parse_bytes("0"), 0);
}

TEST(Bytes, RefusesWhatIsNoSize) {
  for (const char* text :
       {"", "MiB", "-1", "-5MiB", "12XB", "1 2", "nan", "inf", "1e30", "5000000TiB"}) {
    expect_user_error([&] { parse_bytes(text); },
                      str_cat("cannot read '", text, "' as a number of bytes; write for example"));
  }
}

TEST(Bytes, PrintsThreeDigitsInTheLargestUnit) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(1024), "1.00 KiB");
  EXPECT_EQ(format_bytes(12 * kKiB + 512), "12.5 KiB");
  EXPECT_EQ(format_bytes(97910784), "93.4 MiB");
  EXPECT_EQ(format_bytes(1000 * kMiB), "1000 MiB");
  EXPECT_EQ(format_bytes(3 * kGiB / 2), "1.50 GiB");
  EXPECT_EQ(format_bytes(-1536), "-1.50 KiB");
}

TEST(Bytes, RoundsUpToMultiples) {
  EXPECT_EQ(round_up(0, 64), 0);
  EXPECT_EQ(round_up(1, 64), 64);
  EXPECT_EQ(round_up(64, 64), 64);
  EXPECT_EQ(round_up(65, 64), 128);
}

}  // namespace
}  // namespace thimble
