#include <unistd.h>

#include "app/commands.h"

int main(int argc, char** argv) { return shoal::app::run_command(argc, argv, environ); }
