#include <algorithm>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "src/data/loader.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

using test::failure_of;

struct Copied {
  std::vector<float> inputs;
  std::vector<int64_t> labels;
  std::vector<int64_t> indices;

  bool operator==(const Copied&) const = default;
};

std::vector<float> floats_of(const Batch& batch) {
  const auto values = batch.inputs.at(0).as<float>();
  return {values.begin(), values.end()};
}

std::vector<Copied> rest_of_epoch(Loader& loader) {
  std::vector<Copied> batches;
  while (const Batch* batch = loader.next())
    batches.push_back({floats_of(*batch),
                       {batch->labels.begin(), batch->labels.end()},
                       {batch->indices.begin(), batch->indices.end()}});
  return batches;
}

std::vector<Copied> epoch_of(const Dataset& dataset, const LoaderConfig& config, int64_t epoch,
                             int64_t first_batch = 0) {
  Loader loader(dataset, config);
  loader.start(epoch, first_batch);
  return rest_of_epoch(loader);
}

std::vector<int64_t> indices_of(const std::vector<Copied>& batches) {
  std::vector<int64_t> all;
  for (const Copied& batch : batches) all.insert(all.end(), batch.indices.begin(), batch.indices.end());
  return all;
}

// Fails, or sleeps, when it reads the sample that it is told.
class Troubled final : public test::CountingDataset {
 public:
  Troubled(int64_t size, int64_t bad, std::chrono::milliseconds pause)
      : CountingDataset(size, {4}, 2, DType::float32), bad_(bad), pause_(pause) {}

  const std::byte* stored(size_t field, int64_t index, std::vector<std::byte>& scratch) const override {
    if (index == bad_ && pause_.count() == 0) fail_input("sample {} cannot be decoded", index);
    if (index == bad_) std::this_thread::sleep_for(pause_);
    return CountingDataset::stored(field, index, scratch);
  }

 private:
  int64_t bad_;
  std::chrono::milliseconds pause_;
};

TEST_CASE("loader: without shuffling an epoch is 0 .. size-1 with values, labels and a short last batch") {
  const auto data = test::counting(10, {1, 2, 2}, 3);
  LoaderConfig config;
  config.batch = 4;
  config.preprocess.scale = 1.0;
  const std::vector<Copied> batches = epoch_of(*data, config, 5);
  REQUIRE(batches.size() == 3);
  int64_t sample = 0;
  for (const Copied& batch : batches) {
    const size_t size = sample < 8 ? 4 : 2;
    REQUIRE(batch.indices.size() == size);
    REQUIRE(batch.labels.size() == size);
    REQUIRE(batch.inputs.size() == 4 * size);
    for (size_t i = 0; i < size; ++i, ++sample) {
      CHECK(batch.indices[i] == sample);
      CHECK(batch.labels[i] == sample % 3);
      for (int64_t k = 0; k < 4; ++k) CHECK(batch.inputs[4 * i + static_cast<size_t>(k)] == data->value(sample, k));
    }
  }
}

TEST_CASE("loader: threads and prefetch depth change nothing of a shuffled, augmented epoch") {
  const auto data = test::counting(103, {2, 6, 5}, 7);
  LoaderConfig config{8, 42, true, false, {{}, {0.3}, {0.2}}, parse_augmentations("flip,shift:2"), 1, 1, {}};
  // Naive: the samples in the permuted order, each written alone.
  const SampleWriter writer(*data, 0, data->sample_shape(), config.preprocess, config.augmentations, config.seed);
  const std::vector<Copied> base = epoch_of(*data, config, 3);
  SampleWriter::Scratch scratch;
  std::vector<float> sample(60);
  for (const Copied& batch : base)
    for (size_t i = 0; i < batch.indices.size(); ++i) {
      writer.write(3, batch.indices[i], scratch, sample.data());
      CHECK(std::equal(sample.begin(), sample.end(), batch.inputs.begin() + static_cast<int64_t>(60 * i)));
      CHECK(batch.labels[i] == batch.indices[i] % 7);
    }
  for (const int threads : {1, 2, 5})
    for (const int prefetch : {1, 2, 3, 20}) {
      config.threads = threads;
      config.prefetch = prefetch;
      CHECK(epoch_of(*data, config, 3) == base);
    }
}

TEST_CASE("loader: mixup replaces rows by mixtures with the row of the other end") {
  const auto data = test::counting(11, {1, 2, 3}, 3);
  LoaderConfig config{4, 9, true, false, {{}, {0.3}, {0.2}}, parse_augmentations("flip"), 2, 2, {}};
  const std::vector<Copied> alone = epoch_of(*data, config, 6);
  config.augmentations = parse_augmentations("flip,mixup:0.5");
  const std::vector<Copied> mixed = epoch_of(*data, config, 6);
  REQUIRE(mixed.size() == 3);
  for (size_t b = 0; b < mixed.size(); ++b) {
    CHECK(mixed[b].labels == alone[b].labels);
    CHECK(mixed[b].indices == alone[b].indices);
    const size_t size = alone[b].indices.size();
    for (size_t i = 0; i < size; ++i) {
      const double share = mixup_share(0.5, 9, 6, alone[b].indices[i]);
      for (size_t k = 0; k < 6; ++k)
        CHECK(mixed[b].inputs[6 * i + k] == doctest::Approx(share * alone[b].inputs[6 * i + k] +
                                                            (1 - share) * alone[b].inputs[6 * (size - 1 - i) + k])
                                                .epsilon(1e-5));
    }
  }
  config.augmentations.clear();
  Loader unmixed(*data, config);
  unmixed.start(0);
  CHECK(unmixed.next()->shares.empty());
}

TEST_CASE("loader: every epoch shows every sample once, in an order of its own and of the seed") {
  const auto data = test::counting(50, {1}, 2);
  LoaderConfig config;
  config.batch = 7;
  config.shuffle = true;
  std::vector<int64_t> all(50);
  std::iota(all.begin(), all.end(), int64_t{0});
  const std::vector<int64_t> first = indices_of(epoch_of(*data, config, 0));
  const std::vector<int64_t> second = indices_of(epoch_of(*data, config, 1));
  CHECK(first != all);
  CHECK(first != second);
  for (std::vector<int64_t> order : {first, second}) {
    std::sort(order.begin(), order.end());
    CHECK(order == all);
  }
  config.seed = 1;
  CHECK(indices_of(epoch_of(*data, config, 0)) != first);
}

TEST_CASE("loader: an epoch continues from any batch, the end included") {
  const auto data = test::counting(41, {1, 4, 4}, 2);
  LoaderConfig config;
  config.batch = 5;
  config.shuffle = true;
  config.threads = 2;
  config.augmentations = parse_augmentations("shift:1,flip");
  const std::vector<Copied> whole = epoch_of(*data, config, 6);
  Loader loader(*data, config);
  for (int64_t first = 0; first <= loader.batches_per_epoch(); ++first) {
    loader.start(6, first);
    CHECK(rest_of_epoch(loader) == std::vector<Copied>(whole.begin() + first, whole.end()));
  }
  CHECK(failure_of([&] { loader.start(6, loader.batches_per_epoch() + 1); }).code == ExitCode::failure);
  CHECK(failure_of([&] { loader.start(-1); }).code == ExitCode::failure);
}

TEST_CASE("loader: a new start in the middle of an epoch drops what was prepared") {
  const auto data = test::counting(64, {1, 4, 4}, 2);
  LoaderConfig config{4, 1, true, false, {}, {}, 3, 3, {}};
  const std::vector<Copied> expected = epoch_of(*data, config, 9);
  Loader loader(*data, config);
  for (int64_t epoch = 0; epoch < 200; ++epoch) {
    loader.start(epoch);
    for (int64_t i = 0; i < epoch % 6; ++i) REQUIRE(loader.next() != nullptr);
  }
  loader.start(9);
  CHECK(rest_of_epoch(loader) == expected);
}

TEST_CASE("loader: a batch still in work at a new start does not enter the new epoch") {
  const Troubled data(40, 4, std::chrono::milliseconds(80));
  const LoaderConfig config{4, 0, false, false, {}, {}, 2, 2, {}};
  Loader loader(data, config);
  loader.start(0, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  loader.start(0, 4);  // the same slot as batch 1, whose slow sample one thread is reading while the other is free
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  const Batch* batch = loader.next();
  REQUIRE(batch != nullptr);
  CHECK(std::vector<int64_t>(batch->indices.begin(), batch->indices.end()) == std::vector<int64_t>{16, 17, 18, 19});
}

TEST_CASE("loader: it ends cleanly in every state") {
  const auto data = test::counting(64, {1, 4, 4}, 2);
  const LoaderConfig config{4, 1, true, false, {}, {}, 2, 2, {}};
  for (int taken = -1; taken < 17; ++taken) {
    Loader loader(*data, config);
    if (taken >= 0) loader.start(0);
    for (int i = 0; i < taken; ++i) loader.next();
  }
  Loader unstarted(*data, config);
  CHECK(unstarted.next() == nullptr);
}

TEST_CASE("loader: after the end of an epoch next() stays at the end") {
  const auto data = test::counting(6, {1}, 2);
  LoaderConfig config;
  config.batch = 3;
  Loader loader(*data, config);
  loader.start(0);
  CHECK(rest_of_epoch(loader).size() == 2);
  CHECK(loader.next() == nullptr);
  CHECK(loader.next() == nullptr);
}

TEST_CASE("loader: drop_last leaves out the short batch, and refuses a batch over the size") {
  const auto data = test::counting(10, {1}, 2);
  LoaderConfig config;
  config.drop_last = true;
  config.batch = 4;
  CHECK(epoch_of(*data, config, 0).size() == 2);
  config.batch = 5;
  CHECK(epoch_of(*data, config, 0).size() == 2);
  config.batch = 11;
  CHECK(failure_of([&] { Loader(*data, config); }).code == ExitCode::usage);
  config.drop_last = false;
  CHECK(epoch_of(*data, config, 0).size() == 1);
  config.batch = 0;
  CHECK(failure_of([&] { Loader(*data, config); }).code == ExitCode::usage);
}

TEST_CASE("loader: unlabelled data has no labels, and inputs are aligned and reused") {
  const auto data = test::counting(40, {3}, 0);
  LoaderConfig config{5, 0, false, false, {}, {}, 2, 1, {}};
  Loader loader(*data, config);
  std::vector<const float*> buffers;
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    loader.start(epoch);
    while (const Batch* batch = loader.next()) {
      CHECK(batch->labels.empty());
      CHECK(reinterpret_cast<uintptr_t>(batch->inputs[0].data) % 64 == 0);
      buffers.push_back(batch->inputs[0].as<float>().data());
    }
  }
  std::sort(buffers.begin(), buffers.end());
  CHECK(std::unique(buffers.begin(), buffers.end()) - buffers.begin() == 3);
}

TEST_CASE("loader: a batch keeps its values until the next call") {
  const auto data = test::counting(64, {16}, 2);
  LoaderConfig config{4, 0, false, false, {1.0, {}, {}}, {}, 1, 3, {}};
  Loader loader(*data, config);
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    for (size_t i = 0; i < 4; ++i) CHECK(batch->inputs[0].as<float>()[16 * i] == data->value(batch->indices[i], 0));
  }
}

TEST_CASE("loader: a failure reaches next() at its batch, and the loader can start again") {
  const Troubled data(20, 9, std::chrono::milliseconds(0));
  LoaderConfig config{4, 0, false, false, {}, {}, 4, 2, {}};
  Loader loader(data, config);
  for (int round = 0; round < 2; ++round) {
    loader.start(round);
    CHECK(loader.next() != nullptr);
    CHECK(loader.next() != nullptr);
    const test::Failure failure = failure_of([&] { loader.next(); });
    CHECK(failure.code == ExitCode::bad_input);
    CHECK(failure.mentions("sample 9 cannot be decoded"));
    CHECK(loader.next() == nullptr);
  }
  loader.start(0, 3);
  CHECK(rest_of_epoch(loader).size() == 2);
}

TEST_CASE("loader: waiting is counted when a batch is late, and not when it is ready") {
  const Troubled data(8, 4, std::chrono::milliseconds(60));
  LoaderConfig config{4, 0, false, false, {}, {}, 2, 1, {}};
  Loader loader(data, config);
  loader.start(0);
  rest_of_epoch(loader);
  const double late = loader.waited_seconds();
  CHECK(late >= 0.04);
  loader.start(1);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  loader.next();
  loader.next();
  CHECK(loader.waited_seconds() - late < 0.02);
}

}  // namespace
}  // namespace pare
