#include "kernels/block_mask.hpp"
#include "src/core/error.hpp"
#include "tests/support/twin_cases.hpp"

namespace pare::test {
namespace {

const std::vector<kernels::BlockGrid> grids = {{8, 8, 4, 4},   {7, 9, 4, 4},      {1, 1, 16, 16}, {33, 65, 1, 8},
                                               {64, 3, 32, 1}, {40, 130, 32, 32}, {5, 6, 1, 1},   {0, 8, 4, 4}};

}  // namespace

TEST_CASE("block_mask: scores are means of the blocks, also of smaller ones at the edge") {
  on_every_device([](TwinDevice& device) {
    for (const kernels::BlockGrid& grid : grids) {
      INFO(grid.rows << " x " << grid.columns << " in " << grid.block_rows << " x " << grid.block_columns);
      const TwinBuffer<float> score(device, make_values(Values::positive, grid.rows * grid.columns, 1), 1);
      const auto blocks = static_cast<size_t>(grid.down() * grid.across());
      const TwinBuffer<float> result(device, std::vector<float>(blocks), 1);
      score_blocks(device.device(), score.get(), grid, result.get());
      std::vector<double> sum(blocks), count(blocks);
      std::vector<float> in_order(blocks);  // fp32 sums in the order of the contract
      for (int64_t row = 0; row < grid.rows; ++row)
        for (int64_t column = 0; column < grid.columns; ++column) {
          const auto block = static_cast<size_t>(row / grid.block_rows * grid.across() + column / grid.block_columns);
          const float value = score.initial()[static_cast<size_t>(row * grid.columns + column)];
          sum[block] += value;
          in_order[block] += value;
          count[block] += 1;
        }
      const std::vector<float> got = result.read();
      for (size_t block = 0; block < blocks; ++block) {
        CHECK(got[block] == doctest::Approx(sum[block] / count[block]).epsilon(1e-5));
        CHECK(got[block] == in_order[block] / static_cast<float>(count[block]));
      }
    }
  });
}

TEST_CASE("block_mask: every element gets the mask of its block") {
  on_every_device([](TwinDevice& device) {
    for (const kernels::BlockGrid& grid : grids) {
      std::vector<uint8_t> blocks(static_cast<size_t>(grid.down() * grid.across()));
      for (size_t block = 0; block < blocks.size(); ++block) blocks[block] = block % 3 == 0 ? 0 : 1;
      std::vector<uint8_t> expected;
      for (int64_t row = 0; row < grid.rows; ++row)
        for (int64_t column = 0; column < grid.columns; ++column)
          expected.push_back(
              blocks[static_cast<size_t>(row / grid.block_rows * grid.across() + column / grid.block_columns)]);
      const TwinBuffer<uint8_t> block_mask(device, blocks);
      const TwinBuffer<uint8_t> mask(device, std::vector<uint8_t>(expected.size(), 9), 3);
      spread_block_mask(device.device(), block_mask.get(), grid, mask.get());
      check_same_bytes(mask.read(), expected);
    }
  });
}

TEST_CASE("block_mask: blocks without rows or columns are refused") {
  on_every_device([](TwinDevice& device) {
    const TwinBuffer<float> score(device, {1});
    CHECK_THROWS_AS(score_blocks(device.device(), score.get(), {1, 1, 0, 1}, score.get()), Error);
    CHECK_THROWS_AS(score_blocks(device.device(), score.get(), {1, 1, 1, -1}, score.get()), Error);
  });
}

}  // namespace pare::test
