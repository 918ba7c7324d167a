#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace thimble::cli {

// Help within 80 columns, defaults at the end of each flag's sentence.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override;
  std::string make_subcommand(const CLI::App* command) const override;
  std::string make_usage(const CLI::App* app, std::string name) const override;
  std::string make_option(const CLI::Option* option, bool is_positional) const override;
};

}  // namespace thimble::cli
