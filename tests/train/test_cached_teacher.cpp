#include <cmath>
#include <filesystem>
#include <fstream>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>
#include <doctest/doctest.h>

#include "src/core/error.hpp"
#include "src/train/cached_teacher.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace pare;

namespace {

// Says of each sample [2] the sines of its first number's multiples, and remembers how many samples it was asked for.
struct SineTeacher : Teacher {
  int64_t classes = 3;
  double factor = 1;
  std::vector<int64_t>* asked = nullptr;

  std::vector<at::Tensor> outputs(const Batch&, std::span<const at::Tensor> inputs, int64_t) override {
    if (asked != nullptr) asked->push_back(inputs[0].size(0));
    const at::Tensor first = inputs[0].select(1, 0).unsqueeze(1);
    return {(first * (at::arange(classes, at::kFloat) + 1)).sin() * factor};
  }
};

struct Samples {
  std::vector<float> values;
  std::vector<int64_t> indices;
  Batch batch;

  explicit Samples(const std::vector<float>& numbers) {
    for (const float number : numbers) values.insert(values.end(), {number, 0.5f});
    indices.resize(numbers.size());
    const auto count = static_cast<int64_t>(numbers.size());
    batch.inputs = {{DType::float32, {count, 2}, reinterpret_cast<std::byte*>(values.data())}};
    batch.indices = indices;
    batch.size = batch.rows = count;
  }

  at::Tensor of(Teacher& teacher, int64_t epoch = 0) {
    const at::Tensor x = at::from_blob(values.data(), {batch.rows, 2}, at::kFloat);
    return teacher.outputs(batch, {&x, 1}, epoch).at(0);
  }
};

struct Fixture {
  test::TemporaryFolder temporary;
  std::string folder = temporary.file("cache");
  std::vector<int64_t> asked;
  std::vector<std::string> warnings;
  bool logits = false;
  bool fixed_batch = false;

  CachedTeacher open(int64_t classes = 3, double factor = 1, const std::string& key = "key") {
    auto live = std::make_unique<SineTeacher>();
    live->classes = classes;
    live->factor = factor;
    live->asked = &asked;
    CachedTeacherConfig config{folder,  key,         {{"y", logits}},
                               {false}, fixed_batch, [this](const std::string& text) {
                                 warnings.push_back(text); }};
    return CachedTeacher(std::move(live), config);
  }
  std::vector<std::filesystem::path> segments() const {
    std::vector<std::filesystem::path> paths;
    for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(folder) / "key"))
      paths.push_back(entry.path());
    return paths;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "cached_teacher: what was computed is found again, also by another run, and says the same") {
  CachedTeacher teacher = open();
  Samples samples({0.1f, 0.2f, 0.3f});
  const at::Tensor first = samples.of(teacher);
  CHECK(((first - samples.of(*std::make_unique<SineTeacher>())).abs().max().item<double>() < 1e-3));
  CHECK(samples.of(teacher, 7).equal(first));
  CHECK((asked == std::vector<int64_t>{3}));
  teacher.save();
  CachedTeacher again = open();
  CHECK(samples.of(again).equal(first));
  CHECK((asked == std::vector<int64_t>{3}));
  CHECK(again.found() == 3);
  CHECK(again.computed() == 0);
  CHECK(warnings.empty());
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: the teacher runs for the missing samples alone, in any place and order") {
  CachedTeacher teacher = open();
  const at::Tensor first = Samples({0.1f, 0.2f, 0.3f}).of(teacher);
  const at::Tensor mixed = Samples({0.5f, 0.3f, 0.4f, 0.1f}).of(teacher);
  CHECK((asked == std::vector<int64_t>{3, 2}));
  CHECK(mixed.select(0, 1).equal(first.select(0, 2)));
  CHECK(mixed.select(0, 3).equal(first.select(0, 0)));
  CHECK(std::abs(mixed.select(0, 2).select(0, 0).item<double>() - std::sin(0.4)) < 1e-3);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: a teacher of one batch size gets whole batches") {
  fixed_batch = true;
  CachedTeacher teacher = open();
  Samples({0.1f, 0.2f}).of(teacher);
  const at::Tensor second = Samples({0.3f, 0.1f}).of(teacher);
  CHECK((asked == std::vector<int64_t>{2, 2}));
  CHECK(std::abs(second.select(0, 0).select(0, 0).item<double>() - std::sin(0.3)) < 1e-3);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: a sample twice in a batch is one row") {
  CachedTeacher teacher = open();
  const at::Tensor both = Samples({0.7f, 0.7f}).of(teacher);
  CHECK(both.select(0, 0).equal(both.select(0, 1)));
  teacher.save();
  CHECK(segments().size() == 1);
  CHECK(TeacherStore(folder, "key", {}).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: wide logits keep the largest classes as fp16 does, and the others in sum") {
  logits = true;
  CachedTeacher teacher = open(1000, 8);
  Samples samples({0.11f, 0.37f});
  SineTeacher live;
  live.classes = 1000;
  live.factor = 8;
  const at::Tensor kept = samples.of(teacher), exact = samples.of(live);
  CHECK((at::softmax(kept, 1) - at::softmax(exact, 1)).abs().max().item<double>() < 1e-2);
  CHECK(std::abs(at::softmax(kept, 1).sum().item<double>() - 2) < 1e-5);
  const at::Tensor best = exact.gather(1, kept.argmax(1, true)), largest = exact.amax(1, true);
  CHECK((largest - best).max().item<double>() < 8e-3);
  // The sum over the classes that are not kept is as it was.
  const at::Tensor mass = at::softmax(kept, 1) - at::softmax(exact, 1);
  CHECK(mass.sum(1).abs().max().item<double>() < 1e-4);
  teacher.save();
  CHECK(std::filesystem::file_size(segments()[0]) < 2 * 1000 * 2);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: a damaged segment is left out with a warning, and computed anew") {
  CachedTeacher teacher = open();
  Samples samples({0.1f, 0.2f, 0.3f});
  const at::Tensor first = samples.of(teacher);
  teacher.save();
  const std::filesystem::path path = segments().at(0);
  std::string text = read_file(path.string());
  // 0.1's sine in fp16 is somewhere in the file: flip a bit of it.
  const c10::Half value = first.select(0, 0).select(0, 0).item<float>();
  const size_t place = text.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
  REQUIRE(place != std::string::npos);
  text[place] = static_cast<char>(text[place] ^ 1);
  std::ofstream(path, std::ios::binary) << text;
  std::ofstream(path.parent_path() / "other.h5") << "no HDF5 at all";
  CachedTeacher again = open();
  CHECK(warnings.size() == 2);
  CHECK(samples.of(again).equal(first));
  CHECK(again.computed() == 3);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: two runs at once keep what both computed, and many segments become one") {
  CachedTeacher one = open(), two = open();
  Samples({0.1f, 0.2f}).of(one);
  Samples({0.2f, 0.3f}).of(two);
  one.save();
  two.save();
  CHECK(segments().size() == 2);
  for (int i = 0; i < 20; ++i) {
    Samples({10.0f + static_cast<float>(i)}).of(one);
    one.save();
  }
  CHECK(segments().size() == 22);
  CHECK(TeacherStore(folder, "key", {}).size() == 23);
  CHECK(segments().size() == 1);
  CHECK(TeacherStore(folder, "key", {}).size() == 23);
  CHECK(TeacherStore(folder, "another", {}).size() == 0);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: values beyond fp16 and outputs without batch dimension are refused") {
  CachedTeacher large = open(3, 1e6);
  CHECK_THROWS_WITH_AS(Samples({0.4f}).of(large), doctest::Contains("beyond fp16"), Error);
  struct Scalar : Teacher {
    std::vector<at::Tensor> outputs(const Batch&, std::span<const at::Tensor>, int64_t) override {
      return {at::zeros({})};
    }
  };
  CachedTeacher scalar(std::make_unique<Scalar>(), {folder, "scalar", {{"y", false}}, {false}, false, {}});
  CHECK_THROWS_WITH_AS(Samples({0.4f}).of(scalar), doctest::Contains("no batch dimension"), Error);
}

TEST_CASE_FIXTURE(Fixture, "cached_teacher: rows of another layout are refused, not read past their end") {
  for (const char* layout : {"[[1000]]", "[[3],[3]]", "[[-3]]", "{}", "no json", "[3]"}) {
    const std::string key = std::string("layout ") + layout[1];
    TeacherStore store(folder, key, {});
    store.set_layout(layout, 6);
    store.add({1, 2});
    store.save();
    CHECK_THROWS_WITH_AS(open(3, 1, key), doctest::Contains("holds other outputs"), Error);
    std::filesystem::remove_all(std::filesystem::path(folder) / key);
  }
}
