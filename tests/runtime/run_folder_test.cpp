#include "runtime/run_folder.h"

#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <functional>
#include <tuple>

#include "data/fixtures.h"
#include "runtime/options_file.h"
#include "support/expect_error.h"

namespace thimble {
namespace {

using namespace data_test;
namespace fs = std::filesystem;

// Every field of a choice. Bindings must name all of them: a field that is added stops the build
// here, and then belongs in the list of run_folder.cpp too.
auto fields(const ModelChoice& choice) {
  const auto& [a, b, c, d, e, f, g, h, i, j, k, l] = choice;
  return std::tie(a, b, c, d, e, f, g, h, i, j, k, l);
}
auto fields(const SparseChoice& choice) {
  const auto& [a, b, c, d, e, f, g, h, i] = choice;
  return std::tie(a, b, c, d, e, f, g, h, i);
}
auto fields(const PatchChoice& choice) {
  const auto& [a, b, c, d] = choice;
  return std::tie(a, b, c, d);
}
auto fields(const DataChoice& choice) {
  const auto& [a, b, c, d, e, f, g, h] = choice;
  return std::tie(a, b, c, d, e, f, g, h);
}
auto fields(const OptimizerChoice& choice) {
  const auto& [a, b, c, d, e, f, g, h, i, j] = choice;
  return std::tie(a, b, c, d, e, f, g, h, i, j);
}
auto fields(const TrainOptions& options) {
  // A device is planned for; a run is on this machine.
  const auto& [model, sparse, patches, data, optimizer, a, b, c, d, e, f, g, h, i, j, k, device, l,
               m, n, o] = options;
  static_cast<void>(device);
  return std::tuple_cat(fields(model), fields(sparse), fields(patches), fields(data),
                        fields(optimizer), std::tie(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o));
}

// No field has its usual value, and numbers are the hardest of their kind to write.
TrainOptions unusual_options(const std::string& run_folder) {
  TrainOptions o;
  o.model = {"resnet \"8\"",
             3,
             5,
             7,
             11,
             13,
             1.0 / 3,
             "group",
             1e-300,
             {{"a", "1"}, {"b/c.d", "\xc3\xa4\n"}},
             "head",
             "rep-net"};
  o.sparse = {0.9, "set", "uniform", "blocks", 7, 0.6, 0.2, 0.5, true};
  o.patches = {224, 192, 16, "mean"};
  o.data = {"/data/x y", true, 4, true, (int64_t{1} << 62) + 1, "-1..1", 0.2, "draw"};
  o.optimizer = {"adamw",   0.1,    true, 5e-4,    {{"beta1", "0.8"}},
                 0.1 + 0.2, "step", 2.5,  {3, 60}, 0.2};
  o.epochs = 17;
  o.patience = 3;
  o.budget_bytes = 96 * kMiB + 1;
  o.allow = {"this", "that, too"};
  o.without = {"recompute"};
  o.min_snr_db = 30;
  o.offload_folder = "flash";
  o.cache_features = true;
  o.seed = UINT64_MAX;
  o.threads = 2;
  o.backend = "portable";
  o.run_folder = run_folder;
  o.initial_weights = "w.safetensors";
  o.resume = false;
  o.checkpoint_every = 19;
  return o;
}

template <size_t... i>
void expect_all_differ(const TrainOptions& a, const TrainOptions& b, std::index_sequence<i...>) {
  const auto differ = [](size_t index, const auto& x, const auto& y) {
    EXPECT_NE(x, y) << "field " << index << " of the test has its usual value";
  };
  (differ(i, std::get<i>(fields(a)), std::get<i>(fields(b))), ...);
}

Bytes bytes_of(const std::string& text) { return Bytes(text.begin(), text.end()); }
std::string text_of(const std::string& path) {
  const Bytes bytes = read_file(path);
  return std::string(bytes.begin(), bytes.end());
}

TEST(RunFolder, EveryOptionComesBack) {
  const TempDir dir;
  RunFolder folder(dir / "run");
  folder.create();
  TrainOptions options = unusual_options(dir / "run");
  options.resume = true;
  expect_all_differ(options, TrainOptions{}, std::make_index_sequence<58>());
  static_assert(std::tuple_size_v<decltype(fields(options))> == 58);
  folder.write_options(options);
  options.resume = false;  // belongs to the call
  EXPECT_EQ(fields(folder.read_options()), fields(options));
}

TEST(RunFolder, UsualOptionsComeBack) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.write_options(TrainOptions{});
  TrainOptions usual;
  usual.run_folder = dir.path();
  EXPECT_EQ(fields(folder.read_options()), fields(usual));
}

TEST(RunFolder, MovedFolderReadsItsNewPlace) {
  const TempDir dir;
  RunFolder folder(dir / "old");
  folder.create();
  folder.write_options(unusual_options(dir / "old"));
  fs::rename(dir / "old", dir / "new");
  EXPECT_EQ(RunFolder(dir / "new").read_options().run_folder, dir / "new");
}

TEST(RunFolder, OptionsAreTextByGroups) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.write_options(TrainOptions{});
  const std::string text = text_of(dir / "run.json");
  EXPECT_CONTAINS(text,
                  "{\n  \"model\": {\n    \"name\": \"mobilenet_v1_patch\",\n    \"batch\": 0,");
  EXPECT_CONTAINS(text, "    \"momentum\": 0.9,\n");
  EXPECT_CONTAINS(text, "  \"checkpoint_every\": 0\n}\n");
}

TEST(RunFolder, FieldsOfOlderFilesHaveTheirUsualValues) {
  const TempDir dir;
  write_file(dir / "run.json", bytes_of(R"({"epochs": 3, "data": {"path": "cifar-10"}})"));
  TrainOptions expected;
  expected.epochs = 3;
  expected.data.path = "cifar-10";
  expected.run_folder = dir.path();
  EXPECT_EQ(fields(RunFolder(dir.path()).read_options()), fields(expected));
}

TEST(RunFolder, WrongOptionsAreNamed) {
  const TempDir dir;
  const auto refusal = [&](const std::string& text) {
    write_file(dir / "run.json", bytes_of(text));
    return error_of([&] { RunFolder(dir.path()).read_options(); });
  };
  const std::string path = dir / "run.json: ";
  ASSERT_EQ(refusal("{}"), "");
  EXPECT_EQ(refusal("{\"epochs\": 1"), path + "is not a JSON object");
  EXPECT_EQ(refusal(""), path + "is not a JSON object");
  EXPECT_EQ(refusal("[]"), path + "is not a JSON object");
  EXPECT_EQ(refusal(R"({"epochs": "1"})"),
            path + "epochs is \"1\", needed a whole number in range");
  EXPECT_EQ(refusal(R"({"epochs": 1.5})"), path + "epochs is 1.5, needed a whole number in range");
  EXPECT_EQ(refusal(R"({"epochs": 9223372036854775808})"),
            path + "epochs is 9223372036854775808, needed a whole number in range");
  EXPECT_EQ(refusal(R"({"threads": 2147483648})"),
            path + "threads is 2147483648, needed a whole number in range");
  EXPECT_EQ(refusal(R"({"seed": -1})"), path + "seed is -1, needed a whole number, at least 0");
  EXPECT_EQ(refusal(R"({"backend": 1})"), path + "backend is 1, needed a string");
  EXPECT_EQ(refusal(R"({"data": {"flip": 1}})"), path + "data.flip is 1, needed true or false");
  EXPECT_EQ(refusal(R"({"model": {"width": null}})"),
            path + "model.width is null, needed a number");
  EXPECT_EQ(refusal(R"({"model": {"variants": {"a": 1}}})"),
            path + "model.variants is object, needed an object of strings");
  EXPECT_EQ(refusal(R"({"optimizer": {"step_epochs": [1, "2"]}})"),
            path + "optimizer.step_epochs is array, needed a list of whole numbers");
  EXPECT_EQ(refusal(R"({"optimizer": {"step_epochs": 3}})"),
            path + "optimizer.step_epochs is 3, needed a list of whole numbers");
  EXPECT_EQ(refusal(R"({"optimizer": {"momentun": 3}})"),
            path + "unknown field optimizer.momentun");
  EXPECT_EQ(refusal(R"({"epoch": 3})"), path + "unknown field epoch");
  EXPECT_EQ(refusal(R"({"model": 3})"), path + "unknown field model");
}

TEST(RunFolder, DeepNestingInOptionsIsRefused) {
  const TempDir dir;
  const std::string deep = std::string(400000, '[') + std::string(400000, ']');
  write_file(dir / "run.json", bytes_of("{\"epochs\":" + deep + "}"));
  EXPECT_CONTAINS(error_of([&] { RunFolder(dir.path()).read_options(); }), "epochs is array");
  write_file(dir / "run.json", Bytes(kMiB + 1, ' '));
  EXPECT_CONTAINS(error_of([&] { RunFolder(dir.path()).read_options(); }),
                  "1048577 bytes; at most 1048576");
}

TEST(RunFolder, MissingOptionsAreAnError) {
  EXPECT_EQ(error_of([] { RunFolder("/nowhere").read_options(); }),
            "/nowhere/run.json: cannot open: No such file or directory");
}

TEST(RunFolder, OptionsThatJsonCannotHoldAreErrors) {
  const TempDir dir;
  RunFolder folder(dir.path());
  TrainOptions options;
  options.model.width = std::nan("");
  expect_user_error([&] { folder.write_options(options); }, "cannot write: model.width is nan");
  options = {};
  options.data.path = "\xff";
  expect_user_error([&] { folder.write_options(options); }, "not UTF-8");
  EXPECT_FALSE(fs::exists(dir / "run.json"));
}

TEST(RunFolder, NamesOfFiles) {
  const RunFolder folder("runs/a");
  EXPECT_EQ(folder.path(), "runs/a");
  EXPECT_EQ(folder.checkpoint_file(), "runs/a/checkpoint.safetensors");
  EXPECT_EQ(folder.model_file(), "runs/a/model.safetensors");
}

TEST(RunFolder, EmptyPathIsNoFolder) {
  RunFolder none("");
  EXPECT_FALSE(none.has_checkpoint());
  expect_user_error([&] { none.create(); }, "model.safetensors: no run folder was given");
  expect_user_error([&] { none.read_options(); }, "run.json: no run folder was given");
  expect_user_error([&] { none.append_metrics({}); }, "metrics.jsonl: no run folder was given");
}

TEST(RunFolder, CreateMakesFoldersAndDropsOldMetrics) {
  const TempDir dir;
  RunFolder folder(dir / "a/b");
  folder.create();
  EXPECT_FALSE(folder.has_checkpoint());
  folder.append_metrics({});
  folder.create();
  EXPECT_TRUE(fs::is_directory(dir / "a/b"));
  EXPECT_FALSE(fs::exists(dir / "a/b/metrics.jsonl"));
}

TEST(RunFolder, CreateKeepsFinishedWork) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.append_metrics({});
  write_file(folder.checkpoint_file(), {1});
  EXPECT_TRUE(folder.has_checkpoint());
  EXPECT_EQ(error_of([&] { folder.create(); }),
            dir.path() +
                ": holds the checkpoint of a run; hint: go on with --resume, or use "
                "another folder");
  fs::rename(folder.checkpoint_file(), folder.model_file());
  EXPECT_EQ(error_of([&] { folder.create(); }),
            dir.path() + ": holds a trained model; hint: use another folder");
  EXPECT_TRUE(fs::exists(dir / "metrics.jsonl"));
}

TEST(RunFolder, FolderThatCannotBeMadeIsAnError) {
  const TempDir dir;
  write_file(dir / "file", {1});
  EXPECT_CONTAINS(error_of([&] { RunFolder(dir / "file").create(); }),
                  dir / "file: cannot make the run folder: Not a directory");
  EXPECT_CONTAINS(error_of([] { RunFolder("/proc/thimble").create(); }),
                  "/proc/thimble: cannot make the run folder: ");
}

TEST(RunFolder, PlanIsTheGivenText) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.write_plan("{\"old\": 1}");
  folder.write_plan("{}\n");
  EXPECT_EQ(text_of(dir / "plan.json"), "{}\n");
}

TEST(RunFolder, MetricsAreOneObjectALine) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.append_metrics({.step = 10,
                         .epoch = 0,
                         .loss = 0.5,
                         .learning_rate = 0.05,
                         .resident_bytes = 4096,
                         .seconds = 1.25});
  folder.append_metrics({.step = 20,
                         .epoch = 1,
                         .loss = std::nan(""),
                         .learning_rate = 0.1,
                         .test_loss = 2.0,
                         .test_accuracy = 0.75,
                         .resident_bytes = 8192,
                         .seconds = 3});
  EXPECT_EQ(text_of(dir / "metrics.jsonl"),
            R"({"step":10,"epoch":0,"loss":0.5,"learning_rate":0.05,)"
            R"("resident_bytes":4096,"seconds":1.25})"
            "\n"
            R"({"step":20,"epoch":1,"loss":null,"learning_rate":0.1,"test_loss":2.0,)"
            R"("test_accuracy":0.75,"resident_bytes":8192,"seconds":3.0})"
            "\n");
}

TEST(RunFolder, MetricsAfterTheCheckpointAreDropped) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.truncate_metrics(3);  // no file yet
  for (int64_t step = 1; step <= 5; ++step) folder.append_metrics({.step = step});
  const std::string all = text_of(dir / "metrics.jsonl");
  const size_t line = all.size() / 5;
  folder.truncate_metrics(5);
  EXPECT_EQ(text_of(dir / "metrics.jsonl"), all);
  folder.truncate_metrics(3);
  EXPECT_EQ(text_of(dir / "metrics.jsonl"), all.substr(0, 3 * line));
  folder.append_metrics({.step = 4});
  EXPECT_EQ(text_of(dir / "metrics.jsonl"), all.substr(0, 4 * line));
  folder.truncate_metrics(0);
  EXPECT_EQ(text_of(dir / "metrics.jsonl"), "");
}

TEST(RunFolder, LineCutAnywhereIsDropped) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.append_metrics({.step = 1});
  const std::string first = text_of(dir / "metrics.jsonl");
  folder.append_metrics({.step = 2});
  const Bytes both = read_file(dir / "metrics.jsonl");
  for (size_t size = first.size(); size < both.size(); ++size) {
    write_file(dir / "metrics.jsonl", Bytes(both.begin(), both.begin() + static_cast<long>(size)));
    folder.truncate_metrics(2);
    ASSERT_EQ(text_of(dir / "metrics.jsonl"), first) << size;
  }
}

TEST(RunFolder, BrokenLineAmongMetricsIsAnErrorAndStays) {
  const TempDir dir;
  RunFolder folder(dir.path());
  for (const char* broken : {"{\"step\":2", "2", "{}", "{\"step\":\"2\"}", ""}) {
    const std::string text = std::string("{\"step\":1}\n") + broken + "\n{\"step\":3}\n";
    write_file(dir / "metrics.jsonl", bytes_of(text));
    EXPECT_EQ(error_of([&] { folder.truncate_metrics(3); }),
              dir / "metrics.jsonl: line 2 is not an object with a step; hint: remove the line");
    EXPECT_EQ(text_of(dir / "metrics.jsonl"), text);
  }
}

TEST(RunFolder, MetricsThatAreAFolderAreAnError) {
  const TempDir dir;
  RunFolder folder(dir.path());
  fs::create_directories(dir / "metrics.jsonl/x");
  EXPECT_CONTAINS(error_of([&] { folder.truncate_metrics(1); }), dir / "metrics.jsonl: cannot ");
  EXPECT_EQ(error_of([&] { folder.append_metrics({}); }),
            dir / "metrics.jsonl: cannot write: Is a directory");
}

TEST(RunFolder, FullDiskLeavesOldFiles) {
  const TempDir dir;
  RunFolder folder(dir.path());
  folder.write_options(TrainOptions{});
  folder.write_plan("{}");
  for (int64_t step = 0; step < 9; ++step) folder.append_metrics({.step = step});
  const std::string options = text_of(dir / "run.json");
  const std::string metrics = text_of(dir / "metrics.jsonl");

  const auto old_action = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old = {};
  ::getrlimit(RLIMIT_FSIZE, &old);
  rlimit limit = old;
  limit.rlim_cur = 100;
  ::setrlimit(RLIMIT_FSIZE, &limit);
  const std::string of_options = error_of([&] { folder.write_options(unusual_options("")); });
  const std::string of_plan = error_of([&] { folder.write_plan(std::string(101, ' ')); });
  const std::string of_append = error_of([&] { folder.append_metrics({}); });
  const std::string of_truncate = error_of([&] { folder.truncate_metrics(7); });
  ::setrlimit(RLIMIT_FSIZE, &old);
  ::signal(SIGXFSZ, old_action);

  EXPECT_EQ(of_options, dir / "run.json: cannot write: File too large");
  EXPECT_EQ(of_plan, dir / "plan.json: cannot write: File too large");
  EXPECT_EQ(of_append, dir / "metrics.jsonl: cannot write: File too large");
  EXPECT_EQ(of_truncate, dir / "metrics.jsonl: cannot write: File too large");
  EXPECT_EQ(text_of(dir / "run.json"), options);
  EXPECT_EQ(text_of(dir / "plan.json"), "{}");
  EXPECT_EQ(text_of(dir / "metrics.jsonl"), metrics);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), {}), 3);
}

std::string resume_refusal(const std::function<void(TrainOptions&)>& change) {
  const TrainOptions saved = unusual_options("runs/a");
  TrainOptions now = saved;
  change(now);
  return error_of([&] { check_resumable(saved, now); });
}

TEST(CheckResumable, WhatDoesNotChangeTheRunMayChange) {
  EXPECT_EQ(resume_refusal([](TrainOptions& o) {
              o.epochs = 100;
              o.budget_bytes = 0;
              o.checkpoint_every = 1;
              o.data.skip_bad = false;
              o.data.decode_bytes = 5;
              o.run_folder = "moved";
              o.resume = true;
            }),
            "");
}

TEST(CheckResumable, FirstDifferenceIsNamedWithBothValues) {
  EXPECT_EQ(resume_refusal([](TrainOptions& o) { o.model.batch = 64, o.seed = 1; }),
            "cannot resume: model.batch was 3 and is now 64; hint: use 3 again, or another run "
            "folder");
  EXPECT_EQ(resume_refusal([](TrainOptions& o) { o.optimizer.step_epochs = {4}; }),
            "cannot resume: optimizer.step_epochs was [3,60] and is now [4]; hint: use [3,60] "
            "again, or another run folder");
  EXPECT_EQ(resume_refusal([](TrainOptions& o) { o.threads = 4; }),
            "cannot resume: threads was 2 and is now 4; another number of threads adds in another "
            "order and changes the bits; hint: use 2 again, or another run folder");
  EXPECT_CONTAINS(resume_refusal([](TrainOptions& o) { o.data.path = "\xff"; }),
                  "data.path was \"/data/x y\" and is now ");
}

TEST(CheckResumable, EachOtherFieldIsCompared) {
  const std::vector<std::pair<std::string, std::function<void(TrainOptions&)>>> changes = {
      {"model.name", [](TrainOptions& o) { o.model.name += "x"; }},
      {"model.batch", [](TrainOptions& o) { o.model.batch++; }},
      {"model.channels", [](TrainOptions& o) { o.model.channels++; }},
      {"model.height", [](TrainOptions& o) { o.model.height++; }},
      {"model.width_px", [](TrainOptions& o) { o.model.width_px++; }},
      {"model.classes", [](TrainOptions& o) { o.model.classes++; }},
      {"model.width", [](TrainOptions& o) { o.model.width = std::nextafter(o.model.width, 1); }},
      {"model.norm", [](TrainOptions& o) { o.model.norm += "x"; }},
      {"model.label_smoothing", [](TrainOptions& o) { o.model.label_smoothing *= 2; }},
      {"model.variants", [](TrainOptions& o) { o.model.variants["a"] = "2"; }},
      {"data.path", [](TrainOptions& o) { o.data.path += "x"; }},
      {"data.flip", [](TrainOptions& o) { o.data.flip = !o.data.flip; }},
      {"data.crop_pad", [](TrainOptions& o) { o.data.crop_pad++; }},
      {"optimizer.name", [](TrainOptions& o) { o.optimizer.name += "x"; }},
      {"optimizer.momentum", [](TrainOptions& o) { o.optimizer.momentum *= 2; }},
      {"optimizer.nesterov", [](TrainOptions& o) { o.optimizer.nesterov = false; }},
      {"optimizer.weight_decay", [](TrainOptions& o) { o.optimizer.weight_decay *= 2; }},
      {"optimizer.options", [](TrainOptions& o) { o.optimizer.options["beta1"] = "0.7"; }},
      {"optimizer.learning_rate", [](TrainOptions& o) { o.optimizer.learning_rate *= 2; }},
      {"optimizer.schedule", [](TrainOptions& o) { o.optimizer.schedule += "x"; }},
      {"optimizer.warmup_epochs", [](TrainOptions& o) { o.optimizer.warmup_epochs *= 2; }},
      {"optimizer.step_epochs", [](TrainOptions& o) { o.optimizer.step_epochs.pop_back(); }},
      {"optimizer.step_factor", [](TrainOptions& o) { o.optimizer.step_factor *= 2; }},
      {"seed", [](TrainOptions& o) { o.seed--; }},
      {"threads", [](TrainOptions& o) { o.threads++; }},
      {"backend", [](TrainOptions& o) { o.backend += "x"; }}};
  for (const auto& [name, change] : changes) {
    EXPECT_EQ(resume_refusal(change).find("cannot resume: " + name + " was "), 0u) << name;
  }
}

}  // namespace
}  // namespace thimble
