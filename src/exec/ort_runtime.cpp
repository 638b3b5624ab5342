#include "src/exec/ort_runtime.hpp"

#include <charconv>
#include <cstring>
#include <utility>

#include <dlfcn.h>

#include "src/core/error.hpp"

namespace pare {
namespace {

// Opaque types of onnxruntime_c_api.h.
struct OrtEnv;
struct OrtMemoryInfo;
struct OrtSessionHandle;
struct OrtSessionOptions;
struct OrtStatus;
struct OrtTensorInfo;
struct OrtValue;

// Version of the table that is asked for: that of 1.14. All functions below are of version 1.
constexpr uint32_t api_version = 14;

// Places in OrtApi, in the order of its declaration in onnxruntime_c_api.h.
enum class Place : size_t {
  get_error_message = 2,
  create_env = 3,
  create_session = 7,
  create_session_from_array = 8,
  run = 9,
  create_session_options = 10,
  set_optimized_model_path = 11,
  set_graph_optimization_level = 23,
  set_intra_op_threads = 24,
  set_inter_op_threads = 25,
  create_tensor_with_data = 49,
  is_tensor = 50,
  tensor_data = 51,
  element_type = 60,
  dimensions_count = 61,
  dimensions = 62,
  tensor_info = 65,
  cpu_memory_info = 69,
  release_env = 92,
  release_status = 93,
  release_memory_info = 94,
  release_session = 95,
  release_value = 96,
  release_tensor_info = 99,
  release_session_options = 100,
};

constexpr int log_fatal = 4;  // errors come back as statuses
constexpr int optimize_nothing = 0, optimize_all = 99;
constexpr int arena_allocator = 1, default_memory = 0;

struct OrtApiBase {
  const void* const* (*get_api)(uint32_t version);
  const char* (*version)();
};

// Calls of the table: a status that is not null is an error.
class Calls {
 public:
  explicit Calls(const void* const* api) : api_(api) {}

  template <class... Args>
  void operator()(Place place, Args... args) const {
    OrtStatus* const status = function<OrtStatus*(Args...)>(place)(args...);
    if (status == nullptr) return;
    std::string reason = function<const char*(OrtStatus*)>(Place::get_error_message)(status);
    release(Place::release_status, status);
    reason = reason.substr(0, reason.find('\n'));
    fail_input("ONNX Runtime: {}", reason);
  }

  template <class T>
  void release(Place place, T* object) const {
    if (object != nullptr) function<void(T*)>(place)(object);
  }

 private:
  template <class Function>
  Function* function(Place place) const {
    return reinterpret_cast<Function*>(const_cast<void*>(api_[static_cast<size_t>(place)]));
  }

  const void* const* api_;
};

// Releases an object of the library at the end of its scope.
template <class T>
class Owned {
 public:
  Owned(const Calls& calls, Place release) : calls_(calls), release_(release) {}
  ~Owned() { calls_.release(release_, object); }
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;

  T* object = nullptr;

 private:
  const Calls& calls_;
  Place release_;
};

// The values of a call, released together.
struct Values {
  explicit Values(const Calls& calls) : calls(calls) {}
  ~Values() {
    for (OrtValue* value : values) calls.release(Place::release_value, value);
  }
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;

  const Calls& calls;
  std::vector<OrtValue*> values;
};

Tensor tensor_of(const Calls& calls, OrtValue* value, const std::string& name) {
  int is_tensor = 0;
  calls(Place::is_tensor, static_cast<const OrtValue*>(value), &is_tensor);
  if (is_tensor == 0) fail_input("output '{}' is no tensor", name);
  Owned<OrtTensorInfo> info(calls, Place::release_tensor_info);
  calls(Place::tensor_info, static_cast<const OrtValue*>(value), &info.object);
  const OrtTensorInfo* const known = info.object;
  int type = 0;
  size_t rank = 0;
  calls(Place::element_type, known, &type);
  calls(Place::dimensions_count, known, &rank);
  Tensor tensor{static_cast<DType>(type), Shape(rank), {}};  // numbered as in TensorProto
  calls(Place::dimensions, known, tensor.shape.data(), rank);
  if (dtype_bits(tensor.dtype) < 8)
    fail_input("output '{}' is not of numbers (got {})", name, dtype_name(tensor.dtype));
  void* data = nullptr;
  calls(Place::tensor_data, value, &data);
  std::byte* target = nullptr;
  tensor.data = Bytes::allocate(static_cast<size_t>(tensor.byte_size()), &target);
  if (tensor.data.size() > 0) std::memcpy(target, data, tensor.data.size());
  return tensor;
}

std::vector<const char*> pointers_to(const std::vector<std::string>& names) {
  std::vector<const char*> pointers;
  for (const std::string& name : names) pointers.push_back(name.c_str());
  return pointers;
}

}  // namespace

OrtLibrary::OrtLibrary(const std::string& path) : path_(path) {
  void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail_usage("ONNX Runtime: {} cannot be loaded ({})", path, ::dlerror());
  const auto get_base = reinterpret_cast<const OrtApiBase* (*)()>(::dlsym(library, "OrtGetApiBase"));
  if (get_base == nullptr) fail_usage("ONNX Runtime: {} is another library (it has no OrtGetApiBase)", path);
  version_ = get_base()->version();
  int major = 0, minor = 0;
  const char* const end = version_.data() + version_.size();
  const auto dot = std::from_chars(version_.data(), end, major);
  if (dot.ptr != end) std::from_chars(dot.ptr + 1, end, minor);
  // Asked for a version that it does not have, the library itself prints.
  if (major == 1 && minor >= static_cast<int>(api_version)) api_ = get_base()->get_api(api_version);
  if (api_ == nullptr)
    fail_usage("ONNX Runtime: {} is version {} (expected 1.{} or newer)", path, version_, api_version);
}

struct OrtSession::State {
  explicit State(const OrtLibrary& library)
      : calls(library.api_),
        environment(calls, Place::release_env),
        memory(calls, Place::release_memory_info),
        options(calls, Place::release_session_options),
        session(calls, Place::release_session) {}

  void prepare(const OrtConfig& config) {
    calls(Place::create_env, log_fatal, "pare", &environment.object);
    calls(Place::cpu_memory_info, arena_allocator, default_memory, &memory.object);
    calls(Place::create_session_options, &options.object);
    calls(Place::set_graph_optimization_level, options.object, config.optimize ? optimize_all : optimize_nothing);
    calls(Place::set_intra_op_threads, options.object, config.threads);
    calls(Place::set_inter_op_threads, options.object, 1);
    if (!config.optimized_path.empty())
      calls(Place::set_optimized_model_path, options.object, config.optimized_path.c_str());
  }

  const OrtEnv* known_environment() const { return environment.object; }
  const OrtSessionOptions* known_options() const { return options.object; }

  Calls calls;
  Owned<OrtEnv> environment;
  Owned<OrtMemoryInfo> memory;
  Owned<OrtSessionOptions> options;
  Owned<OrtSessionHandle> session;  // last: it goes first
};

OrtSession::OrtSession(std::unique_ptr<State> state) : state_(std::move(state)) {}
OrtSession::OrtSession(OrtSession&&) noexcept = default;
OrtSession::~OrtSession() = default;

OrtSession::OrtSession(const OrtLibrary& library, std::string_view model, const OrtConfig& config)
    : state_(std::make_unique<State>(library)) {
  state_->prepare(config);
  state_->calls(Place::create_session_from_array, state_->known_environment(), static_cast<const void*>(model.data()),
                model.size(), state_->known_options(), &state_->session.object);
}

OrtSession OrtSession::from_file(const OrtLibrary& library, const std::string& path, const OrtConfig& config) {
  auto state = std::make_unique<State>(library);
  state->prepare(config);
  state->calls(Place::create_session, state->known_environment(), path.c_str(), state->known_options(),
               &state->session.object);
  return OrtSession(std::move(state));
}

std::vector<Tensor> OrtSession::run(const std::vector<std::string>& input_names, std::span<const TensorView> inputs,
                                    const std::vector<std::string>& output_names) const {
  const Calls& calls = state_->calls;
  Values given(calls), made(calls);
  for (const TensorView& input : inputs) {
    given.values.push_back(nullptr);
    const auto bytes = static_cast<size_t>(element_count(input.shape) * dtype_bits(input.dtype) / 8);
    calls(Place::create_tensor_with_data, static_cast<const OrtMemoryInfo*>(state_->memory.object),
          static_cast<void*>(const_cast<std::byte*>(input.data)), bytes, input.shape.data(), input.shape.size(),
          static_cast<int>(input.dtype), &given.values.back());
  }
  made.values.resize(output_names.size());
  const std::vector<const char*> in = pointers_to(input_names), out = pointers_to(output_names);
  calls(Place::run, state_->session.object, static_cast<const void*>(nullptr), in.data(),
        static_cast<const OrtValue* const*>(given.values.data()), given.values.size(), out.data(), out.size(),
        made.values.data());
  std::vector<Tensor> outputs;
  for (size_t i = 0; i < out.size(); ++i) outputs.push_back(tensor_of(calls, made.values[i], output_names[i]));
  return outputs;
}

}  // namespace pare
