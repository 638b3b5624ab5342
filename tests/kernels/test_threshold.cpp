#include <algorithm>
#include <numeric>

#include "kernels/threshold.hpp"
#include "src/core/error.hpp"
#include "src/core/threads.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

using kernels::ScoreView;
using kernels::Selection;

struct Tensors {
  Tensors(TwinDevice& device, const std::vector<std::vector<float>>& values, size_t shift = 0) {
    for (const std::vector<float>& tensor : values) {
      buffers.push_back(std::make_unique<TwinBuffer<float>>(device, tensor, shift));
      views.push_back({buffers.back()->get(), buffers.back()->size()});
      all.insert(all.end(), tensor.begin(), tensor.end());
    }
  }
  std::vector<std::unique_ptr<TwinBuffer<float>>> buffers;
  std::vector<ScoreView> views;
  std::vector<float> all;
};

// place[i]: the place of element i in a stable sort, the oracle: it is among the k smallest iff place[i] < k.
std::vector<int64_t> sorted_places(const std::vector<float>& all) {
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return all[a] < all[b]; });
  std::vector<int64_t> place(all.size());
  for (size_t i = 0; i < order.size(); ++i) place[order[i]] = static_cast<int64_t>(i);
  return place;
}

void check_selections(TwinDevice& device, const Tensors& tensors, const std::vector<int64_t>& ks) {
  const std::vector<int64_t> place = sorted_places(tensors.all);
  for (const int64_t k : ks) {
    INFO("k: " << k << " of " << tensors.all.size());
    const Selection selection = select_smallest(device.device(), tensors.views, k);
    CHECK(selection.count == k);
    size_t wrong = 0;
    for (size_t i = 0; i < tensors.all.size(); ++i)
      if (is_selected(selection, tensors.all[i], static_cast<int64_t>(i)) != (place[i] < k)) ++wrong;
    CHECK(wrong == 0);
  }
}

std::vector<int64_t> ranks(int64_t size) {
  std::vector<int64_t> list = {0, 1, 2, size / 10, size / 2, size - size / 10, size - 1, size};
  for (int64_t& k : list) k = std::clamp<int64_t>(k, 0, size);
  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

}  // namespace

TEST_CASE("threshold: selects the k smallest of every size, value kind and alignment") {
  const std::vector<int64_t> gpu_sizes = {0, 1, 2, 3, 31, 32, 33, 1023, 4097};
  on_every_device([&](TwinDevice& device) {
    for (const Values kind : all_values) {
      for (const int64_t size : device.device().cuda ? gpu_sizes : twin_sizes) {
        INFO("values: " << static_cast<int>(kind) << ", size: " << size);
        const auto seed = static_cast<uint64_t>(size);
        const Tensors tensors(device, {make_values(kind, size, seed)}, static_cast<size_t>(size % 4));
        check_selections(device, tensors, device.device().cuda ? std::vector<int64_t>{size / 3, size} : ranks(size));
      }
    }
  });
}

TEST_CASE("threshold: a list of tensors is one ranking, ties go by global index") {
  on_every_device([](TwinDevice& device) {
    std::vector<std::vector<float>> values = {{},
                                              make_values(Values::positive, 5000, 1),
                                              {},
                                              make_values(Values::signed_zero, 4100, 2),
                                              {0.0f},
                                              make_values(Values::normal, 33, 3),
                                              make_values(Values::zero, 4096, 4),
                                              {}};
    const Tensors tensors(device, values);
    check_selections(device, tensors,
                     {0, 10, 20, 4000, 4117, 8000, 8300, 12000, static_cast<int64_t>(tensors.all.size())});
  });
}

TEST_CASE("threshold: a million scores, also where the sample is misleading or ties fill the list") {
  on_every_device([](TwinDevice& device) {
    if (!device.runs_large()) return;
    std::vector<float> misleading = make_values(Values::normal, large_size, 5);
    for (size_t i = 0; i < misleading.size(); ++i)  // every sampled cache line holds larger values than the others
      if (i % 2048 < 16) misleading[i] = 100 + std::fabs(misleading[i]);
    std::vector<float> sparse = make_values(Values::positive, large_size, 6);
    for (size_t i = 0; i < sparse.size(); ++i)
      if (i % 5 != 0) sparse[i] = 0;
    std::vector<float> two_valued(static_cast<size_t>(large_size));
    for (size_t i = 0; i < two_valued.size(); ++i) two_valued[i] = i % 3 == 0 ? 1.0f : 1.0f + 0x1p-23f;
    const std::vector<std::vector<float>> all = {make_values(Values::normal, large_size, 7),
                                                 make_values(Values::wide, large_size, 8), misleading, sparse,
                                                 two_valued};
    const std::vector<int64_t> ks =
        device.device().cuda ? std::vector<int64_t>{large_size / 2}
                             : std::vector<int64_t>{3000, large_size / 2, large_size - 99999, large_size - 1000};
    for (const std::vector<float>& values : all) check_selections(device, Tensors(device, {values}), ks);
  });
}

TEST_CASE("threshold: nothing is selected for k = 0, even of -inf scores") {
  on_every_device([](TwinDevice& device) {
    const Tensors tensors(device, {std::vector<float>(5, -std::numeric_limits<float>::infinity())});
    check_selections(device, tensors, {0, 3});
    CHECK(select_smallest(device.device(), {}, 0).count == 0);
  });
}

TEST_CASE("threshold: a NaN is an error that names its tensor, whatever k is") {
  on_every_device([](TwinDevice& device) {
    for (const float nan : {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> bad(5000, 1.0f);
      bad[4999] = nan;
      const Tensors tensors(device, {std::vector<float>(10, 1.0f), {}, bad, bad});
      for (const int64_t k : {0, 1, 5000, 10010})
        CHECK_THROWS_WITH_AS(static_cast<void>(select_smallest(device.device(), tensors.views, k)),
                             "select_smallest: tensor 2 has NaN scores; check the loss and the learning rate", Error);
    }
  });
}

TEST_CASE("threshold: k outside of the list and null scores are refused") {
  on_every_device([](TwinDevice& device) {
    const Tensors tensors(device, {{1.0f, 2.0f}});
    CHECK_THROWS_AS(static_cast<void>(select_smallest(device.device(), tensors.views, 3)), Error);
    CHECK_THROWS_AS(static_cast<void>(select_smallest(device.device(), tensors.views, -1)), Error);
    const ScoreView null{nullptr, 2};
    CHECK_THROWS_AS(static_cast<void>(select_smallest(device.device(), {&null, 1}, 1)), Error);
  });
}

TEST_CASE("threshold: the same for any number of threads") {
  const std::vector<float> values = make_values(Values::positive, 300000, 9);
  const ScoreView view{values.data(), 300000};
  const int before = thread_count();
  set_threads(1);
  const Selection one = kernels::select_smallest(kernels::Device{}, {&view, 1}, 123456);
  set_threads(5);
  const Selection five = kernels::select_smallest(kernels::Device{}, {&view, 1}, 123456);
  set_threads(before);
  CHECK(one.threshold == five.threshold);
  CHECK(one.cut_index == five.cut_index);
}

}  // namespace pare::test
