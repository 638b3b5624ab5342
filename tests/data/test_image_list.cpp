#include <doctest/doctest.h>

#include "src/data/image_list.hpp"
#include "tests/data/data_files.hpp"

namespace pare {
namespace {

class Tree {
 public:
  std::string path() const { return folder_.path(); }
  void add(const std::string& name, const std::string& bytes = "") const {
    std::filesystem::create_directories((std::filesystem::path(path()) / name).parent_path());
    folder_.write(name, bytes);
  }
  // "0 ants/a.jpg": labels and paths.
  std::vector<std::string> images() const {
    std::vector<std::string> texts;
    for (const ImageList::Entry& entry : list_images(path()).images)
      texts.push_back(fmt::format("{} {}", entry.label, entry.path.substr(path().size() + 1)));
    return texts;
  }

 private:
  test::TemporaryFolder folder_;
};

using Texts = std::vector<std::string>;

TEST_CASE("image_list: classes are folders sorted by bytes, with what is inside of them") {
  const Tree tree;
  for (const char* name :
       {"b/2.jpg", "b/10.png", "B/x.JPEG", "a/deep/er/1.jpe", "a/0.jpg", "top.jpg", ".git/a.png", "a/.b.png"})
    tree.add(name);
  std::filesystem::create_directory(tree.path() + "/empty");
  CHECK(tree.images() == Texts{"0 B/x.JPEG", "1 a/0.jpg", "1 a/deep/er/1.jpe", "2 b/10.png", "2 b/2.jpg"});
  CHECK(list_images(tree.path()).classes == Texts{"B", "a", "b", "empty"});
}

TEST_CASE("image_list: without folders that hold images the files have no labels; other files are told apart") {
  const Tree tree;
  tree.add("z.png");
  tree.add("no ending", "\xff\xd8\xff\xe0 and more");
  tree.add("text.md", "words");
  tree.add("sub/text.txt", "words");
  CHECK(tree.images() == Texts{"-1 no ending", "-1 z.png"});
  CHECK(list_images(tree.path()).classes.empty());
  CHECK(list_images(tree.path()).skipped == Texts{tree.path() + "/text.md"});
  CHECK(holds_images(tree.path()));
  CHECK(!holds_images(tree.path() + "/sub"));
  CHECK(!holds_images(tree.path() + "/z.png"));
}

TEST_CASE("image_list: parts of the data are folders") {
  const Tree tree;
  tree.add("train/a/1.png");
  CHECK(find_image_split(tree.path(), "train").empty());
  tree.add("test/1.png");
  CHECK(find_image_split(tree.path(), "test") == tree.path() + "/test");
  tree.add("val/a/1.png");
  CHECK(find_image_split(tree.path(), "test") == tree.path() + "/val");  // the one with labels
  CHECK(find_image_split(tree.path(), "train") == tree.path() + "/train");
}

}  // namespace
}  // namespace pare
