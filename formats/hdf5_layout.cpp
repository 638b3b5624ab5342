#include "formats/hdf5_layout.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#include "kernels/bitmask.hpp"
#include "src/core/error.hpp"

namespace pare {
namespace {

constexpr int largest_group = 32;  // of N:M
// A csr tensor takes at least a byte for so many elements: a reader can refuse what would blow up.
constexpr int64_t csr_elements_a_byte = 1024;
constexpr int64_t sampled_groups = 256;

uint8_t* writable(std::byte* bytes) { return reinterpret_cast<uint8_t*>(bytes); }
const uint8_t* readable(const Bytes& bytes) { return reinterpret_cast<const uint8_t*>(bytes.data()); }

Bytes cleared(int64_t size, uint8_t** target) {
  std::byte* bytes = nullptr;
  Bytes result = Bytes::allocate(static_cast<size_t>(size), &bytes);
  if (size > 0) std::memset(bytes, 0, static_cast<size_t>(size));
  *target = writable(bytes);
  return result;
}

bool bit_at(const uint8_t* bits, int64_t i) { return (bits[i / 8] >> (i % 8) & 1) != 0; }
void set_bit(uint8_t* bits, int64_t i) { bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | 1u << (i % 8)); }

int64_t value_bytes(int64_t elements, int value_bits) { return (elements * value_bits + 7) / 8; }

// --- csr: the lengths of the rows, then the column of every stored element -------------------------------------------

struct Rows {
  int64_t rows, columns;
};

Rows rows_of(const Shape& shape) {
  const int64_t count = element_count(shape);
  const int64_t rows = shape.size() > 1 ? shape[0] : 1;
  return {rows, rows == 0 ? 0 : count / rows};
}

// Bytes of an integer up to `largest`; 0 where even four do not do.
int integer_width(int64_t largest) {
  if (largest < int64_t{1} << 8) return 1;
  if (largest < int64_t{1} << 16) return 2;
  return largest < int64_t{1} << 32 ? 4 : 0;
}

void put(uint8_t* target, int64_t value, int width) {
  for (int i = 0; i < width; ++i) target[i] = static_cast<uint8_t>(value >> (8 * i));
}

int64_t get(const uint8_t* source, int width) {
  int64_t value = 0;
  for (int i = 0; i < width; ++i) value |= int64_t{source[i]} << (8 * i);
  return value;
}

// Bytes of the places; -1 where csr is not for the shape.
int64_t csr_size(const Shape& shape, int64_t stored) {
  const auto [rows, columns] = rows_of(shape);
  const int width = integer_width(columns);
  if (rows == 0 || columns == 0 || width == 0) return -1;
  const int64_t size = rows * width + stored * integer_width(columns - 1);
  return size >= rows * columns / csr_elements_a_byte ? size : -1;
}

Bytes csr_places(const Shape& shape, const Bytes& bits, int64_t stored) {
  const auto [rows, columns] = rows_of(shape);
  const int length_width = integer_width(columns);
  const int column_width = integer_width(columns - 1);
  uint8_t* target = nullptr;
  Bytes places = cleared(csr_size(shape, stored), &target);
  uint8_t* column_target = target + rows * length_width;
  for (int64_t row = 0; row < rows; ++row) {
    int64_t length = 0;
    for (int64_t column = 0; column < columns; ++column) {
      if (!bit_at(readable(bits), row * columns + column)) continue;
      put(column_target, column, column_width);
      column_target += column_width;
      ++length;
    }
    put(target + row * length_width, length, length_width);
  }
  return places;
}

LayoutPlaces read_csr(const StorageLayout& layout, const Shape& shape, const Bytes& stored) {
  const auto [rows, columns] = rows_of(shape);
  const int length_width = integer_width(columns);
  const auto available = static_cast<int64_t>(stored.size());
  if (rows == 0 || columns == 0 || length_width == 0)
    fail_input("layout 'csr' does not exist for shape {}", shape_text(shape));
  if (available / length_width < rows)
    fail_input("the lengths of the rows do not fit (got {} bytes, expected {} of {} bytes)", available, rows,
               length_width);
  if (rows * columns / csr_elements_a_byte > available)
    fail_input("bytes do not fit shape {} (got {}, expected more for layout csr)", shape_text(shape), available);
  int64_t total = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t length = get(readable(stored) + row * length_width, length_width);
    if (length > columns) fail_input("row {} is too long (got {} elements, expected at most {})", row, length, columns);
    total += length;
  }
  const int column_width = integer_width(columns - 1);
  const int64_t size = rows * length_width + total * column_width;
  if (size > available)
    fail_input("the columns do not fit the lengths of the rows (got {} bytes, expected {})", available, size);
  LayoutPlaces result{layout, stored.part(stored.text().substr(0, static_cast<size_t>(size))), {}, total};
  uint8_t* bits = nullptr;
  result.bits = cleared(kernels::bitmask_bytes(rows * columns), &bits);
  const uint8_t* source = readable(stored) + rows * length_width;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t length = get(readable(stored) + row * length_width, length_width);
    int64_t before = -1;
    for (int64_t i = 0; i < length; ++i, source += column_width) {
      const int64_t column = get(source, column_width);
      if (column <= before || column >= columns)
        fail_input("row {} is damaged (got column {} after {}, expected rising ones below {})", row, column, before,
                   columns);
      set_bit(bits, row * columns + column);
      before = column;
    }
  }
  return result;
}

// --- N:M: the places in each group of M as the number of their combination -------------------------------------------

// binomial[m][n], up to 32 over 16: 30 bits.
constexpr auto binomial = [] {
  std::array<std::array<uint64_t, largest_group + 1>, largest_group + 1> table{};
  for (size_t m = 0; m <= largest_group; ++m) {
    table[m][0] = 1;
    for (size_t n = 1; n <= m; ++n) table[m][n] = table[m - 1][n - 1] + (n < m ? table[m - 1][n] : 0);
  }
  return table;
}();

uint64_t combinations(int m, int n) { return binomial[static_cast<size_t>(m)][static_cast<size_t>(n)]; }

struct Groups {
  int n, m;
  int64_t outer, length, inner;

  int code_bits() const { return static_cast<int>(std::bit_width(combinations(m, n) - 1)); }
  int64_t a_row() const { return (length + m - 1) / m; }
  int64_t count() const { return outer * a_row() * inner; }
  int size(int64_t group) const { return static_cast<int>(std::min<int64_t>(m, length - group * m)); }
  int64_t places_size() const { return (count() * code_bits() + 7) / 8; }
  // Every group stores n elements, or all of a last, shorter one.
  int64_t stored() const {
    const int64_t rest = length % m;
    return outer * inner * (length / m * n + std::min<int64_t>(rest, n));
  }
  // Element `place` of a group.
  int64_t element(int64_t o, int64_t group, int64_t i, int place) const {
    return (o * length + group * m + place) * inner + i;
  }
};

// The number of a combination of n of m places (a bit each) in lexicographic order, as Python's itertools counts them.
uint64_t code_of(uint32_t places, int m, int n) {
  uint64_t code = 0;
  for (int place = 0; n > 0; ++place) {
    if ((places >> place & 1) != 0) --n;
    else code += combinations(m - place - 1, n - 1);
  }
  return code;
}

uint32_t places_of(uint64_t code, int m, int n) {
  uint32_t places = 0;
  for (int place = 0; n > 0; ++place) {
    const uint64_t with = combinations(m - place - 1, n - 1);
    if (code < with) {
      places |= 1u << place;
      --n;
    } else {
      code -= with;
    }
  }
  return places;
}

uint32_t group_places(const uint8_t* bits, const Groups& groups, int64_t o, int64_t group, int64_t i) {
  uint32_t places = 0;
  for (int place = 0; place < groups.size(group); ++place)
    places |= static_cast<uint32_t>(bit_at(bits, groups.element(o, group, i, place))) << place;
  return places;
}

// The views that a reduction may take: whole rows; down the columns of matrices; the last axis; the first.
std::vector<Groups> views_of(const Shape& shape) {
  const int64_t count = element_count(shape);
  if (shape.size() < 2 || count == 0) return {};
  const int64_t last = shape.back();
  const int64_t second = shape[shape.size() - 2];
  return {{0, 0, shape[0], count / shape[0], 1},
          {0, 0, count / (last * second), second, last},
          {0, 0, count / last, last, 1},
          {0, 0, 1, shape[0], count / shape[0]}};
}

int64_t size_of(const Groups& groups, int value_bits) {
  return groups.places_size() + value_bytes(groups.stored(), value_bits);
}

// Sets n to the most ones of any group, as long as the size stays below `limit`; returns whether it does. Looks at
// every `stride`th group.
bool count_groups(Groups& groups, const uint8_t* bits, int value_bits, int64_t limit, int64_t stride) {
  const int64_t all = groups.count();
  for (int64_t at = 0; at < all; at += stride) {
    const int64_t i = at % groups.inner;
    const int64_t group = at / groups.inner % groups.a_row();
    const int64_t o = at / groups.inner / groups.a_row();
    const int ones = std::popcount(group_places(bits, groups, o, group, i));
    if (ones <= groups.n) continue;
    groups.n = ones;
    if (groups.n >= groups.m || size_of(groups, value_bits) >= limit) return false;
  }
  return groups.n >= 1 && size_of(groups, value_bits) < limit;
}

// The smallest N:M below `limit` bytes, if there is one. A glance at a few groups settles most candidates: more groups
// only make N larger.
bool best_groups(const Shape& shape, const Bytes& bits, int value_bits, int64_t limit, Groups& best) {
  bool found = false;
  for (const Groups& view : views_of(shape))
    for (int m = 2; m <= largest_group && m <= view.length; ++m) {
      Groups candidate = view;
      candidate.m = m;
      candidate.n = 1;
      const int64_t stride = std::max<int64_t>(1, candidate.count() / sampled_groups);
      if (!count_groups(candidate, readable(bits), value_bits, limit, stride)) continue;
      if (stride > 1 && !count_groups(candidate, readable(bits), value_bits, limit, 1)) continue;
      best = candidate;
      limit = size_of(candidate, value_bits);
      found = true;
    }
  return found;
}

void put_code(uint8_t* target, int64_t begin, uint64_t code, int bits) {
  for (int i = 0; i < bits; ++i)
    if ((code >> i & 1) != 0) set_bit(target, begin + i);
}

uint64_t get_code(const uint8_t* source, int64_t begin, int bits) {
  uint64_t code = 0;
  for (int i = 0; i < bits; ++i) code |= static_cast<uint64_t>(bit_at(source, begin + i)) << i;
  return code;
}

// Calls take(o, group, i, number) for every group in the order of their codes.
template <class Take>
void for_each_group(const Groups& groups, Take take) {
  int64_t number = 0;
  for (int64_t o = 0; o < groups.outer; ++o)
    for (int64_t group = 0; group < groups.a_row(); ++group)
      for (int64_t i = 0; i < groups.inner; ++i) take(o, group, i, number++);
}

LayoutPlaces group_placement(const Groups& groups, const Bytes& bits) {
  LayoutPlaces result{{fmt::format("{}:{}", groups.n, groups.m), groups.length, groups.inner}, {}, {}, groups.stored()};
  uint8_t* places_target = nullptr;
  uint8_t* bits_target = nullptr;
  result.places = cleared(groups.places_size(), &places_target);
  result.bits = cleared(static_cast<int64_t>(bits.size()), &bits_target);
  for_each_group(groups, [&](int64_t o, int64_t group, int64_t i, int64_t number) {
    uint32_t places = group_places(readable(bits), groups, o, group, i);
    // Fewer than n: the first free places stand in, those behind the end of a short group last.
    for (int place = 0; std::popcount(places) < groups.n; ++place) places |= 1u << place;
    put_code(places_target, number * groups.code_bits(), code_of(places, groups.m, groups.n), groups.code_bits());
    for (int place = 0; place < groups.size(group); ++place)
      if ((places >> place & 1) != 0) set_bit(bits_target, groups.element(o, group, i, place));
  });
  return result;
}

Groups parse_groups(const StorageLayout& layout, const Shape& shape) {
  Groups groups{0, 0, 0, layout.length, layout.inner};
  const char* begin = layout.name.data();
  const char* end = begin + layout.name.size();
  const auto [colon, n_error] = std::from_chars(begin, end, groups.n);
  const bool separated = n_error == std::errc() && colon != end && *colon == ':';
  const auto [last, m_error] = std::from_chars(separated ? colon + 1 : end, end, groups.m);
  if (!separated || m_error != std::errc() || last != end)
    fail_input("layout '{}' is unknown to this version (expected dense, bitmask, csr or N:M); use a newer pare",
               layout.name);
  if (groups.n < 1 || groups.n >= groups.m || groups.m > largest_group)
    fail_input("layout '{}': cannot be (expected 1 <= N < M <= {})", layout.name, largest_group);
  const int64_t count = element_count(shape);
  if (groups.length < 1 || groups.inner < 1 || groups.length > count || groups.inner > count / groups.length ||
      count % (groups.length * groups.inner) != 0)
    fail_input("layout '{}': length {} and inner {} do not divide shape {}", layout.name, groups.length, groups.inner,
               shape_text(shape));
  groups.outer = count / (groups.length * groups.inner);
  return groups;
}

LayoutPlaces read_groups(const StorageLayout& layout, const Shape& shape, const Bytes& stored) {
  const Groups groups = parse_groups(layout, shape);
  const int64_t size = groups.places_size();
  if (size > static_cast<int64_t>(stored.size()))
    fail_input("the codes do not fit (got {} bytes, expected {})", stored.size(), size);
  LayoutPlaces result{layout, stored.part(stored.text().substr(0, static_cast<size_t>(size))), {}, groups.stored()};
  uint8_t* bits = nullptr;
  result.bits = cleared(kernels::bitmask_bytes(element_count(shape)), &bits);
  for_each_group(groups, [&](int64_t o, int64_t group, int64_t i, int64_t number) {
    const uint64_t code = get_code(readable(stored), number * groups.code_bits(), groups.code_bits());
    if (code >= combinations(groups.m, groups.n))
      fail_input("group {} is damaged (got code {}, expected less than {})", number, code,
                 combinations(groups.m, groups.n));
    const uint32_t places = places_of(code, groups.m, groups.n);
    const uint32_t inside = groups.size(group) == 32 ? places : places & ((1u << groups.size(group)) - 1);
    if (std::popcount(inside) != std::min(groups.n, groups.size(group)))
      fail_input("group {} is damaged (got {} elements, expected {})", number, std::popcount(inside),
                 std::min(groups.n, groups.size(group)));
    for (int place = 0; place < groups.size(group); ++place)
      if ((inside >> place & 1) != 0) set_bit(bits, groups.element(o, group, i, place));
  });
  return result;
}

LayoutPlaces read_bitmask(const StorageLayout& layout, int64_t count, const Bytes& stored) {
  const int64_t size = kernels::bitmask_bytes(count);
  if (static_cast<int64_t>(stored.size()) < size)
    fail_input("the bit mask does not fit (got {} bytes, expected {})", stored.size(), size);
  const Bytes places = stored.part(stored.text().substr(0, static_cast<size_t>(size)));
  std::byte* target = nullptr;
  Bytes bits = Bytes::allocate(static_cast<size_t>(size), &target);
  if (size > 0) std::memcpy(target, places.data(), static_cast<size_t>(size));
  return {layout, places, bits, kernels::count_bits({}, readable(bits), count)};
}

}  // namespace

LayoutPlaces choose_layout(const Shape& shape, const Bytes& bits, int value_bits) {
  const int64_t count = element_count(shape);
  const int64_t ones = kernels::count_bits({}, readable(bits), count);
  int64_t smallest = value_bytes(count, value_bits);
  const int64_t values = value_bytes(ones, value_bits);
  LayoutPlaces result;
  result.layout.name = "dense";
  result.stored = count;
  if (count == 0) return result;
  const int64_t csr = csr_size(shape, ones);
  const bool masked = kernels::bitmask_bytes(count) + values < smallest;
  if (masked) smallest = kernels::bitmask_bytes(count) + values;
  const bool listed = csr >= 0 && csr + values < smallest;
  if (listed) smallest = csr + values;
  if (masked || listed) {
    result.layout.name = listed ? "csr" : "bitmask";
    result.places = listed ? csr_places(shape, bits, ones) : bits;
    result.bits = bits;
    result.stored = ones;
  }
  Groups groups{};
  if (best_groups(shape, bits, value_bits, smallest, groups)) result = group_placement(groups, bits);
  return result;
}

LayoutPlaces read_layout(const StorageLayout& layout, const Shape& shape, const Bytes& stored) {
  const int64_t count = element_count(shape);
  if (layout.is_dense()) return {layout, {}, {}, count};
  if (layout.name == "bitmask") return read_bitmask(layout, count, stored);
  if (layout.name == "csr") return read_csr(layout, shape, stored);
  return read_groups(layout, shape, stored);
}

}  // namespace pare
