// What is done with a model before anything runs. Models may be refused; crashes, hangs, broken passes and internal
// errors are defects.
#pragma once

#include <cstdlib>
#include <iostream>
#include <string>

#include "formats/onnx_model.hpp"
#include "src/core/error.hpp"
#include "src/graph/cost.hpp"
#include "src/graph/passes/fold_sizes.hpp"
#include "src/graph/passes/inline_graph.hpp"
#include "src/graph/passes/run_pass.hpp"
#include "src/graph/roles.hpp"

namespace pare::test {

// Returns the message of the refusal; empty when the model was read.
inline std::string read_everything(const std::string& bytes) {
  try {
    const OnnxModel model = open_onnx(Bytes::own(bytes), "/nonexistent/model.onnx");
    read_tensors(model);
    Graph graph = read_graph(model);
    graph_cost(graph);
    roles_of(graph);
    do run_pass(graph, "fold sizes", fold_sizes);
    while (run_pass(graph, "inline constant ifs", inline_constant_ifs) > 0);
    run_pass(graph, "remove identities", remove_identities);
    run_pass(graph, "remove dead nodes", remove_dead_nodes);
    return "";
  } catch (const Error& error) {
    // A location of external data that does not exist is a missing file.
    if (error.code() == ExitCode::bad_input || error.code() == ExitCode::usage) return error.what();
    std::cerr << "exit " << static_cast<int>(error.code()) << ": " << error.what() << "\n";
    std::abort();
  }
}

}  // namespace pare::test
