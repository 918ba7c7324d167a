#include "runtime/safetensors.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <map>

#include "data/fixtures.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using namespace data_test;
namespace fs = std::filesystem;

Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }

// A file with this header, and this many bytes of data: 0, 1, 2, ...
Bytes file_with(const std::string& header, size_t data_bytes) {
  Bytes file;
  for (size_t i = 0; i < 8; ++i) file.push_back(static_cast<uint8_t>(header.size() >> 8 * i));
  file.insert(file.end(), header.begin(), header.end());
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<uint8_t>(i));
  return file;
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

// What opening a file with this header says.
std::string refusal(const std::string& header, size_t data_bytes) {
  const TempDir dir;
  write_file(dir / "a", file_with(header, data_bytes));
  return error_of([&] { SafetensorsReader(dir / "a"); });
}

// Files of this process can hold at most so many bytes, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : old_action_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    rlimit limit = old_;
    limit.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    ::signal(SIGXFSZ, old_action_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_ = {};
  void (*old_action_)(int);
};

// The file that the tests below read and write: 202 bytes of header and 6 spaces, 13 of data.
const std::string kKnownHeader = R"({"__metadata__":{"format":"thimble"},)"
                                 R"("w":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                                 R"("step":{"dtype":"I32","shape":[],"data_offsets":[8,12]},)"
                                 R"("m":{"dtype":"U8","shape":[1],"data_offsets":[12,13]}})";
const std::vector<TensorEntry> kKnownEntries = {
    {"w", "F32", {2, 1}, 8}, {"step", "I32", {}, 4}, {"m", "U8", {1}, 1}};

Bytes known_file() {
  Bytes file = {0xd0, 0, 0, 0, 0, 0, 0, 0};  // 208 bytes of header
  const Bytes header = bytes_of(kKnownHeader + std::string(208 - kKnownHeader.size(), ' '));
  file.insert(file.end(), header.begin(), header.end());
  const Bytes data = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 7, 1, 0, 0, 0xff};  // 1, -2; 263; 255
  file.insert(file.end(), data.begin(), data.end());
  return file;
}

void write_known(const std::string& path) {
  SafetensorsWriter writer(path, kKnownEntries, {{"format", "thimble"}});
  const std::array<float, 2> w = {1, -2};
  const int32_t step = 263;
  const uint8_t m = 255;
  writer.write(w.data(), 8);
  writer.write(&step, 4);
  writer.write(&m, 1);
  writer.finish();
}

TEST(Safetensors, WritesTheKnownBytes) {
  const TempDir dir;
  write_known(dir / "a.safetensors");
  EXPECT_EQ(read_file(dir / "a.safetensors"), known_file());
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"a.safetensors"});
}

TEST(Safetensors, ReadsTheKnownBytes) {
  const TempDir dir;
  write_file(dir / "a", known_file());
  const SafetensorsReader reader(dir / "a");
  EXPECT_EQ(reader.entries(), kKnownEntries);
  EXPECT_EQ(reader.metadata(), (std::map<std::string, std::string>{{"format", "thimble"}}));
  EXPECT_TRUE(reader.has("step"));
  EXPECT_FALSE(reader.has("format"));
  std::array<float, 2> w = {};
  int32_t step = 0;
  uint8_t m = 0;
  reader.read("m", &m, 1);
  reader.read("w", w.data(), 8);
  reader.read("step", &step, 4);
  EXPECT_EQ(w, (std::array<float, 2>{1, -2}));
  EXPECT_EQ(step, 263);
  EXPECT_EQ(m, 255);
}

TEST(Safetensors, AnyPiecesMakeTheSameFile) {
  const TempDir dir;
  const Bytes known = known_file();
  SafetensorsWriter writer(dir / "a", kKnownEntries, {{"format", "thimble"}});
  for (size_t i = 216; i < known.size(); ++i) writer.write(&known[i], 1);
  writer.finish();
  EXPECT_EQ(read_file(dir / "a"), known);
}

TEST(Safetensors, NamesAndTextsComeBackAsTheyWere) {
  const TempDir dir;
  const std::string strange = "a \"b\"\\\n\t\x01/\xc3\xa4";
  SafetensorsWriter writer(dir / "a", {{strange, "U8", {0, 3}, 0}}, {{strange, strange}});
  writer.finish();
  const SafetensorsReader reader(dir / "a");
  EXPECT_EQ(reader.entries(), (std::vector<TensorEntry>{{strange, "U8", {0, 3}, 0}}));
  EXPECT_EQ(reader.metadata().at(strange), strange);
}

TEST(Safetensors, EmptyFileHasNoTensors) {
  const TempDir dir;
  SafetensorsWriter(dir / "a", {}).finish();
  EXPECT_EQ(read_file(dir / "a"), file_with("{}      ", 0));
  EXPECT_EQ(SafetensorsReader(dir / "a").entries().size(), 0u);
}

TEST(Safetensors, TensorsMayBeListedInAnyOrderAndTheHeaderUnpadded) {
  const TempDir dir;
  write_file(dir / "a", file_with(R"({"z":{"data_offsets":[3,5],"shape":[1],"dtype":"BF16"},)"
                                  R"("y":{"shape":[3],"dtype":"I8","data_offsets":[0,3]},)"
                                  R"("e":{"shape":[0],"dtype":"F64","data_offsets":[3,3]}})",
                                  5));
  const SafetensorsReader reader(dir / "a");
  EXPECT_EQ(
      reader.entries(),
      (std::vector<TensorEntry>{{"y", "I8", {3}, 3}, {"e", "F64", {0}, 0}, {"z", "BF16", {1}, 2}}));
  Bytes z(2);
  reader.read("z", z.data(), 2);
  EXPECT_EQ(z, (Bytes{3, 4}));
}

TEST(Safetensors, ReadSaysWhatIsThereAndWhatWasNeeded) {
  const TempDir dir;
  write_file(dir / "a", known_file());
  const SafetensorsReader reader(dir / "a");
  Bytes to(16);
  EXPECT_EQ(error_of([&] { reader.read("w", to.data(), 16); }),
            dir / "a: tensor w is F32[2,1] of 8 bytes; needed 16 bytes");
  EXPECT_EQ(error_of([&] { reader.read("v", to.data(), 16); }), dir / "a: no tensor v");
}

TEST(Safetensors, MissingFileIsAnError) {
  EXPECT_EQ(error_of([] { SafetensorsReader("/nowhere/a"); }),
            "/nowhere/a: cannot open: No such file or directory");
}

TEST(Safetensors, FileCutAtAnyByteIsAnError) {
  const TempDir dir;
  const Bytes known = known_file();
  for (size_t size = 0; size < known.size(); ++size) {
    write_file(dir / "a", Bytes(known.begin(), known.begin() + static_cast<long>(size)));
    EXPECT_CONTAINS(error_of([&] { SafetensorsReader(dir / "a"); }), dir / "a: ");
  }
  write_file(dir / "a", known);
  EXPECT_EQ(error_of([&] { SafetensorsReader(dir / "a"); }), "");
}

TEST(Safetensors, FileCutAfterOpeningIsAnError) {
  const TempDir dir;
  write_file(dir / "a", known_file());
  const SafetensorsReader reader(dir / "a");
  cut_file(dir / "a", 220);
  Bytes to(8);
  EXPECT_CONTAINS(error_of([&] { reader.read("w", to.data(), 8); }), "ends at byte 220");
}

// With any one byte of the header changed to any of these, a file is refused with a UserError, or
// every tensor it claims can be read.
TEST(Safetensors, ChangedHeaderIsRefusedOrReadable) {
  const TempDir dir;
  const Bytes known = known_file();
  int refused = 0;
  for (size_t i = 0; i < 216; ++i) {
    for (const uint8_t value : {'\0', '"', '{', '}', '[', ']', ',', ':', '-', '9', '\\', '\xff'}) {
      Bytes changed = known;
      changed[i] = value;
      write_file(dir / "a", changed);
      try {
        const SafetensorsReader reader(dir / "a");
        for (const TensorEntry& entry : reader.entries()) {
          Bytes to(static_cast<size_t>(entry.bytes));
          ASSERT_LE(entry.bytes, 13);
          reader.read(entry.name, to.data(), entry.bytes);
        }
      } catch (const UserError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, 2000);
}

TEST(Safetensors, HeaderLengthIsCheckedAgainstTheFile) {
  const TempDir dir;
  Bytes file = known_file();
  file[7] = 0xff;  // 2^63 and more
  write_file(dir / "a", file);
  EXPECT_EQ(error_of([&] { SafetensorsReader(dir / "a"); }),
            dir /
                "a: says that its header has 18374686479671623888 bytes, but has 221 after the "
                "length; cut off, or not a safetensors file");
}

TEST(Safetensors, HugeHeaderIsRefusedUnread) {
  const TempDir dir;
  write_file(dir / "a", {0, 0, 0, 0, 1, 0, 0, 0});  // 4 GiB, all of it there
  fs::resize_file(dir / "a", (uint64_t{1} << 32) + 8);
  EXPECT_EQ(error_of([&] { SafetensorsReader(dir / "a"); }),
            dir / "a: header of 4294967296 bytes; at most 16777216 are read");
}

TEST(Safetensors, DeepNestingIsRefusedAtTheFirstBracket) {
  const std::string deep(1000000, '[');
  EXPECT_CONTAINS(refusal("{\"a\":" + deep, 0), "a: did not expect a list");
  EXPECT_CONTAINS(refusal("{\"a\":{\"shape\":" + deep, 0), "a: shape: did not expect a list");
  EXPECT_CONTAINS(refusal(deep, 0), "header is not a JSON object");
}

TEST(Safetensors, WrongHeadersAreNamed) {
  const auto a = [](const std::string& fields) { return "{\"a\":{" + fields + "}}"; };
  const std::string u8 = R"("dtype":"U8",)", two = R"("shape":[2],)",
                    at = R"("data_offsets":[0,2])";
  ASSERT_EQ(refusal(a(u8 + two + at), 2), "");

  EXPECT_CONTAINS(refusal("", 2), "header is not a JSON object");
  EXPECT_CONTAINS(refusal("\xef\xbb\xbf{}", 0), "header is not a JSON object");
  EXPECT_CONTAINS(refusal(std::string("{}\0x", 4), 0), "header is not a JSON object");
  EXPECT_CONTAINS(refusal("{\"a\" 1}", 0), "header is not JSON at its byte 6");
  EXPECT_CONTAINS(refusal("{}{}", 0), "header is not JSON at its byte 3");
  EXPECT_CONTAINS(refusal("{\"a\":3}", 0), "header: a: did not expect a number");
  EXPECT_CONTAINS(refusal("{\"a\":null}", 0), "header: a: did not expect null");
  EXPECT_CONTAINS(refusal("{\"a\":{}}", 0), "a: did not expect no dtype, shape or data_offsets");
  EXPECT_CONTAINS(refusal(a(u8 + two + at + ",\"x\":1"), 2), "a: x: did not expect an unknown key");
  EXPECT_CONTAINS(refusal(a(u8 + u8 + two + at), 2), "a: dtype: did not expect the same key twice");
  EXPECT_CONTAINS(refusal(a(u8 + two + R"("data_offsets":[0])"), 2), "[0], needed [begin,end]");
  EXPECT_CONTAINS(refusal(a(u8 + two + R"("data_offsets":[2,0])"), 2), "[2,0], needed [begin,end]");
  EXPECT_CONTAINS(refusal(a(u8 + R"("shape":[-2],)" + at), 2), "a: shape: did not expect -2");
  EXPECT_CONTAINS(refusal(a(u8 + R"("shape":[2.0],)" + at), 2), "not a whole 64-bit number");
  EXPECT_CONTAINS(refusal(a(u8 + R"("shape":[18446744073709551616],)" + at), 2), "not a whole 64");
  EXPECT_CONTAINS(refusal(a(u8 + R"("shape":[9223372036854775808],)" + at), 2), "above 2^63 - 1");
  EXPECT_CONTAINS(refusal(R"({"__metadata__":{"k":1}})", 0), "k: did not expect a number");
  EXPECT_CONTAINS(refusal(R"({"__metadata__":{"k":"","k":""}})", 0), "the same key twice");
  EXPECT_CONTAINS(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), "the same key twice");
}

TEST(Safetensors, WrongLayoutsAreNamed) {
  const auto tensor = [](const char* name, const char* dtype, const char* shape, int begin,
                         int end) {
    return str_cat('"', name, R"(":{"dtype":")", dtype, R"(","shape":[)", shape,
                   R"(],"data_offsets":[)", begin, ',', end, "]}");
  };
  const auto both = [](const std::string& a, const std::string& b) {
    return "{" + a + "," + b + "}";
  };
  const std::string a = tensor("a", "U8", "2", 0, 2);
  ASSERT_EQ(refusal(both(a, tensor("b", "U8", "2", 2, 4)), 4), "");

  EXPECT_CONTAINS(refusal(both(a, tensor("b", "U8", "2", 3, 5)), 5),
                  "b: data begins at 3, needed 2");
  EXPECT_CONTAINS(refusal(both(a, tensor("b", "U8", "2", 1, 3)), 3),
                  "b: data begins at 1, needed 2");
  EXPECT_CONTAINS(refusal(both(a, tensor("a", "U8", "2", 2, 4)), 4), "tensor a is there twice");
  EXPECT_CONTAINS(refusal("{" + a + "}", 1), "has 1 bytes of data; its header needs 2");
  EXPECT_CONTAINS(refusal("{" + a + "}", 3), "has 3 bytes of data; its header needs 2");
  EXPECT_CONTAINS(refusal("{" + tensor("a", "F32", "2,3", 0, 20) + "}", 20),
                  "tensor a: data_offsets hold 20 bytes, but F32 of shape [2,3] needs 24");
  EXPECT_CONTAINS(refusal("{" + tensor("a", "U8", "4294967296,4294967296", 0, 0) + "}", 0),
                  "data_offsets hold 0 bytes, but U8 of shape [4294967296,4294967296] needs more");
  EXPECT_CONTAINS(refusal("{" + tensor("a", "F4", "2", 0, 1) + "}", 1),
                  "tensor a: dtype F4, needed one of F64 F32 F16");
}

TEST(Safetensors, ControlCharactersOfAFileAreNotPrinted) {
  EXPECT_CONTAINS(refusal(R"({"\u001b[2J)" + std::string(100, 'x') + R"(":1})", 0),
                  "header: ?[2J" + std::string(76, 'x') + "...: did not expect");
}

TEST(Safetensors, UnfinishedFileLeavesTheOldOne) {
  const TempDir dir;
  write_file(dir / "a", {1, 2, 3});
  {
    SafetensorsWriter writer(dir / "a", kKnownEntries);
    const std::string aside = str_cat(".a.tmp-", ::getpid());
    EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{aside, "a"}));
  }
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"a"});
  EXPECT_EQ(read_file(dir / "a"), (Bytes{1, 2, 3}));
}

TEST(Safetensors, FullDiskLeavesTheOldFile) {
  const TempDir dir;
  write_file(dir / "a", {1, 2, 3});
  const std::vector<uint8_t> data(100000);
  std::string message;
  {
    const FileSizeLimit limit(50000);  // the first write is cut short, the next one fails
    message = error_of([&] {
      SafetensorsWriter writer(dir / "a", {{"x", "U8", {100000}, 100000}});
      writer.write(data.data(), 100000);
      writer.finish();
    });
  }
  EXPECT_EQ(message, dir / "a: cannot write: File too large");
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{"a"});
  EXPECT_EQ(read_file(dir / "a"), (Bytes{1, 2, 3}));
}

TEST(Safetensors, FileThatFailedIsNotFinished) {
  const TempDir dir;
  const std::vector<uint8_t> data(100000);
  SafetensorsWriter writer(dir / "a", {{"x", "U8", {100000}, 100000}});
  {
    const FileSizeLimit limit(50000);
    expect_user_error([&] { writer.write(data.data(), 100000); }, "File too large");
  }
  expect_internal_error([&] { writer.finish(); }, "100000 bytes did not come");
  EXPECT_FALSE(fs::exists(dir / "a"));
}

TEST(Safetensors, PathThatCannotBeWrittenIsAnError) {
  const TempDir dir;
  write_file(dir / "file", {1});
  fs::create_directories(dir / "folder/x");
  EXPECT_EQ(error_of([&] { SafetensorsWriter(dir / "none/a", {}); }),
            dir / "none/a: cannot write: No such file or directory");
  EXPECT_EQ(error_of([&] { SafetensorsWriter(dir / "file/a", {}); }),
            dir / "file/a: cannot write: Not a directory");
  EXPECT_EQ(error_of([&] { SafetensorsWriter(dir / "folder", {}).finish(); }),
            dir / "folder: cannot write: Is a directory");
  EXPECT_EQ(names_in(dir.path()), (std::vector<std::string>{"file", "folder"}));
}

TEST(Safetensors, MetadataThatIsNotUtf8IsAnError) {
  const TempDir dir;
  expect_user_error([&] { SafetensorsWriter(dir / "a", {}, {{"k", "\xff"}}); }, "not UTF-8");
  EXPECT_EQ(names_in(dir.path()), std::vector<std::string>{});
}

TEST(Safetensors, LeftoversOfDeadProcessesAreRemoved) {
  const TempDir dir;
  const pid_t dead = ::fork();
  if (dead == 0) ::_exit(0);
  ::waitpid(dead, nullptr, 0);
  const std::string alive = ".a.tmp-1";
  write_file(dir / str_cat(".a.tmp-", dead), {1});
  write_file(dir / str_cat(".a.tmp-", ::getpid()), {1});  // the same number in another container
  write_file(dir / alive, {1});
  write_file(dir / str_cat(".b.tmp-", dead), {1});
  write_file(dir / ".a.tmp-0", {1});
  write_file(dir / ".a.tmp-1x", {1});
  SafetensorsWriter(dir / "a", {}).finish();
  std::vector<std::string> left = {".a.tmp-0", ".a.tmp-1x", alive, str_cat(".b.tmp-", dead), "a"};
  std::ranges::sort(left);
  EXPECT_EQ(names_in(dir.path()), left);
}

TEST(Safetensors, LayoutThatContradictsItselfIsABug) {
  const TempDir dir;
  const auto open = [&](const std::vector<TensorEntry>& entries) {
    return [&dir, entries] { SafetensorsWriter(dir / "a", entries); };
  };
  expect_internal_error(open({{"x", "F32", {2}, 9}}), "tensor x of 9 bytes is not F32[2]");
  expect_internal_error(open({{"x", "f32", {2}, 8}}), "is not f32[2]");
  expect_internal_error(open({{"x", "U8", {}, 1}, {"x", "U8", {}, 1}}), "name x is taken");
  expect_internal_error(open({{"__metadata__", "U8", {}, 1}}), "name __metadata__ is taken");
  SafetensorsWriter writer(dir / "a", {{"x", "U8", {2}, 2}});
  expect_internal_error([&] { writer.write("abc", 3); }, "3 bytes came, 2 are left");
  writer.write("a", 1);
  expect_internal_error([&] { writer.finish(); }, "1 bytes did not come");
}

}  // namespace
}  // namespace thimble
