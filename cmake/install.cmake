# Installs the library, its public headers and the command line tool, so that another project can
# say find_package(thimble).
include(CMakePackageConfigHelpers)
install(TARGETS thimble EXPORT thimble ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(THIMBLE_CLI)
  install(TARGETS thimble_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(THIMBLE_ONNX)
  install(TARGETS thimble_onnx_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/thimble DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT thimble NAMESPACE thimble:: FILE thimble-targets.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/thimble)
configure_package_config_file(cmake/thimble-config.cmake.in
  ${PROJECT_BINARY_DIR}/thimble-config.cmake
  INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/thimble)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/thimble-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES cmake/FindOneDNN.cmake ${PROJECT_BINARY_DIR}/thimble-config.cmake
              ${PROJECT_BINARY_DIR}/thimble-config-version.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/thimble)
