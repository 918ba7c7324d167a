#include "cli/help.h"

#include <sstream>

namespace thimble::cli {
namespace {

constexpr size_t kColumns = 79;
constexpr size_t kFlagColumn = 30;  // where sentences begin
constexpr size_t kCommandColumn = 12;

// `text` in lines from `left` on, where the cursor stands.
std::string wrapped(const std::string& text, size_t left) {
  size_t column = left;
  std::istringstream words(text);
  std::string out;
  bool first = true;
  for (std::string word; words >> word;) {
    if (column + 1 + word.size() > kColumns) {
      out += "\n" + std::string(left, ' ');
      column = left;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
    first = false;
  }
  return out + "\n";
}

// `head` in the left column, `text` in the right one.
std::string two_columns(std::string head, const std::string& text, size_t text_column) {
  if (head.size() + 2 > text_column) {
    head += "\n" + std::string(text_column, ' ');
  } else {
    head.resize(text_column, ' ');
  }
  return head + wrapped(text, text_column);
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode mode) const {
  // The base class sets two empty lines between some parts.
  std::string text = CLI::Formatter::make_help(app, name, mode);
  for (size_t at = 0; (at = text.find("\n\n\n", at)) != std::string::npos;) text.erase(at, 1);
  while (text.size() > 1 && text.compare(text.size() - 2, 2, "\n\n") == 0) text.pop_back();
  return text;
}

std::string HelpFormatter::make_usage(const CLI::App* app, std::string) const {
  if (app->get_parent() == nullptr) return "Usage: thimble COMMAND [FLAGS]\n";
  std::string text = "\nUsage: thimble " + app->get_name();
  for (const CLI::Option* o : app->get_options()) {
    if (o->get_positional()) text += " " + o->get_name(true);
  }
  return text + " [FLAGS]\n";
}

std::string HelpFormatter::make_subcommand(const CLI::App* command) const {
  return two_columns("  " + command->get_name(), command->get_description(), kCommandColumn);
}

std::string HelpFormatter::make_option(const CLI::Option* option, bool is_positional) const {
  std::string head = "  " + make_option_name(option, is_positional);
  const bool takes_value = option->get_type_size() != 0 && !option->get_type_name().empty();
  if (takes_value) head += " " + option->get_type_name();
  const std::string usual = option->get_default_str();
  return two_columns(head, option->get_description() + (usual.empty() ? "" : " [" + usual + "]"),
                     kFlagColumn);
}

}  // namespace thimble::cli
