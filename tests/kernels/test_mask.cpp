#include "kernels/mask.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {

TEST_CASE("mask: prunes exactly the selected elements of a list of tensors") {
  on_every_device([](TwinDevice& device) {
    for (const size_t shift : {0, 1}) {
      const std::vector<int64_t> sizes = {0, 33, 1023, 4097, 0, 1, 9001, 2};
      std::vector<std::unique_ptr<TwinBuffer<float>>> scores;
      std::vector<std::unique_ptr<TwinBuffer<uint8_t>>> masks;
      std::vector<kernels::ScoreMask> tensors;
      for (size_t t = 0; t < sizes.size(); ++t) {
        std::vector<float> values = make_values(Values::normal, sizes[t], t);
        for (size_t i = 0; i < values.size(); i += 3) values[i] = i % 2 == 0 ? 0.0f : -0.0f;
        scores.push_back(std::make_unique<TwinBuffer<float>>(device, values, shift));
        masks.push_back(std::make_unique<TwinBuffer<uint8_t>>(device, std::vector<uint8_t>(values.size(), 9), shift));
        tensors.push_back({scores[t]->get(), masks[t]->get(), sizes[t]});
      }
      for (const kernels::Selection selection :
           {kernels::Selection{0.0f, 5000, 0}, kernels::Selection{-0.5f, 0, 0}, kernels::Selection{-INFINITY, 0, 0},
            kernels::Selection{0.0f, 100000, 0}, kernels::Selection{0.0f, 34, 0}}) {
        write_masks(device.device(), tensors, selection);
        int64_t global = 0;
        for (size_t t = 0; t < sizes.size(); ++t) {
          std::vector<uint8_t> expected;
          for (const float score : scores[t]->initial()) {
            const bool pruned =
                score < selection.threshold || (score == selection.threshold && global < selection.cut_index);
            expected.push_back(pruned ? 0 : 1);
            ++global;
          }
          check_same_bytes(masks[t]->read(), expected);
        }
      }
    }
  });
}

TEST_CASE("mask: zeroes pruned values in all buffers, also NaN and inf, and keeps the others bit for bit") {
  on_every_device([](TwinDevice& device) {
    for (const int64_t size : sizes_for(device)) {
      for (const size_t shift : {0, 1}) {
        if (size == large_size && shift == 0) continue;
        INFO("size " << size << ", shift " << shift);
        std::mt19937_64 random(static_cast<uint64_t>(size));
        std::vector<uint8_t> mask(static_cast<size_t>(size));
        for (size_t i = 0; i < mask.size(); ++i)  // runs of kept, of pruned, and both
          mask[i] = i / 16 % 3 == 0 ? 1 : i / 16 % 3 == 1 ? 0 : static_cast<uint8_t>(random() % 2);
        std::vector<float> weight = make_values(Values::infinite, size, 1);
        for (size_t i = 0; i < weight.size(); i += 5) weight[i] = i % 2 == 0 ? NAN : -0.0f;
        const TwinBuffer<uint8_t> masks(device, mask, shift);
        const TwinBuffer<float> weights(device, weight, shift);
        const TwinBuffer<float> moments(device, make_values(Values::normal, size, 2), 2 * shift);
        const kernels::MaskedTensor tensors[] = {{masks.get(), {weights.get(), nullptr, moments.get()}, size},
                                                 {nullptr, {}, 0}};
        apply_masks(device.device(), tensors);
        for (const TwinBuffer<float>* buffer : {&weights, &moments}) {
          std::vector<float> expected = buffer->initial();
          for (size_t i = 0; i < expected.size(); ++i)
            if (mask[i] == 0) expected[i] = 0.0f;
          check_same_bytes(buffer->read(), expected);
        }
      }
    }
  });
}

TEST_CASE("mask: a tensor without a mask is refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> weights(device, {1.0f});
    const kernels::MaskedTensor tensor{nullptr, {weights.get()}, 1};
    CHECK_THROWS_WITH_AS(apply_masks(device.device(), {&tensor, 1}), "apply_masks: tensor 0 has no mask (got null)",
                         Error);
  });
}

}  // namespace pare::test
