#include "commands/front.hpp"

int main(int argc, char** argv) { return pare::run_command_line(argc, argv); }
