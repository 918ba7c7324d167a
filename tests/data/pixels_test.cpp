#include "data/pixels.h"

#include "data/transform.h"
#include "fixtures.h"

namespace thimble::data_test {
namespace {

// What becomes of one pixel, by channel.
std::vector<float> numbers(const std::string& rule, const std::vector<int>& pixel) {
  const PixelNumbers pixels = pixels_called(rule);
  ImageRecipe recipe;
  recipe.image = Shape{3, 1, 1};
  for (size_t c = 0; c < 3; ++c) {
    recipe.mean[c] = pixels.mean[pixels.mean.size() == 3 ? c : 0];
    recipe.std[c] = pixels.std[pixels.std.size() == 3 ? c : 0];
  }
  recipe.bgr = pixels.bgr;
  const Scratch scratch(ImageFitter::scratch_bytes(recipe.image));
  ImageFitter fitter(recipe, scratch.span());
  std::vector<float> image(3);
  fitter.aim(image.data(), 0, 0);
  fitter.begin({3, 1, 1});
  const Bytes row(pixel.begin(), pixel.end());
  fitter.row(row.data());
  return image;
}

TEST(Pixels, RulesGiveTheNumbersThatTheirNamesSay) {
  EXPECT_EQ(numbers("0..1", {0, 255, 255}), (std::vector<float>{0, 1, 1}));
  EXPECT_FLOAT_EQ(numbers("0..1", {51, 0, 0})[0], 0.2f);
  EXPECT_EQ(numbers("0..255", {0, 77, 255}), (std::vector<float>{0, 77, 255}));
  EXPECT_EQ(numbers("-1..1", {0, 0, 255}), (std::vector<float>{-1, -1, 1}));
  EXPECT_FLOAT_EQ(numbers("-1..1", {51, 0, 0})[0], -0.6f);
}

TEST(Pixels, ImagenetIsTheMeanAndDeviationOfEachChannel) {
  const std::vector<float> v = numbers("imagenet", {255, 0, 128});
  EXPECT_NEAR(v[0], 2.248908, 1e-6);  // (1 - .485) / .229
  EXPECT_NEAR(v[1], -2.035714, 1e-6);
  EXPECT_NEAR(v[2], 0.426492, 1e-6);
}

// torchvision and Keras: BGR in 0..255 minus (103.939, 116.779, 123.68).
TEST(Pixels, CaffeHasBlueFirstAndPixelsLessAMean) {
  const std::vector<float> v = numbers("caffe", {255, 100, 10});
  EXPECT_NEAR(v[0], 10 - 103.939, 2e-5);
  EXPECT_NEAR(v[1], 100 - 116.779, 2e-5);
  EXPECT_NEAR(v[2], 255 - 123.68, 2e-5);
}

TEST(Pixels, AnotherNameIsRefusedWithThoseThatThereAre) {
  EXPECT_EQ(error_of([] { pixels_called("imagnet"); }),
            "data.pixels is 'imagnet', needs one of 0..1, 0..255, -1..1, imagenet, caffe; did you "
            "mean 'imagenet'?");
}

TEST(ImageFit, BlueComesFirstOnRequestAndGreyStaysGrey) {
  for (const int64_t channels : {1, 3}) {
    ImageRecipe recipe;
    recipe.image = Shape{3, 1, 1};
    recipe.bgr = true;
    const Scratch scratch(ImageFitter::scratch_bytes(recipe.image));
    ImageFitter fitter(recipe, scratch.span());
    std::vector<float> image(3);
    fitter.aim(image.data(), 0, 0);
    fitter.begin({channels, 1, 1});
    const Bytes row = {255, 0, 0};
    fitter.row(row.data());
    EXPECT_EQ(image, channels == 1 ? (std::vector<float>{1, 1, 1}) : (std::vector<float>{0, 0, 1}));
  }
}

}  // namespace
}  // namespace thimble::data_test
