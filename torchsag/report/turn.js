"use strict";
// Surfaces to turn with the mouse, a finger, the keyboard or buttons. THREE comes before this script.
{
  const STEP = Math.PI / 12, NEAR = 1.25;
  const VIEWS = { z: [[0, 0, 1], [0, 1, 0]], y: [[0, -1, 0], [0, 0, 1]], x: [[1, 0, 0], [0, 0, 1]] };
  const element = (kind, properties = {}, children = []) => {
    const made = Object.assign(document.createElement(kind), properties);
    made.append(...children);
    return made;
  };
  const sums = (table, rows) => {
    for (let column = 0; column < 3; column++) {
      for (let at = column * rows + 1; at < (column + 1) * rows; at++) table[at] += table[at - 1];
    }
    return table;
  };
  const unpacked = async (data, palette) => {
    const bytes = Uint8Array.from(atob(data.textContent), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const buffer = await new Response(stream).arrayBuffer();
    const count = Number(data.dataset.vertices), radius = Number(data.dataset.radius);
    const levels = sums(new Uint16Array(buffer.slice(0, 6 * count)), count);
    const faces = Number(data.dataset.faces), end = 6 * count + 12 * faces;
    const corners = sums(new Uint32Array(buffer.slice(6 * count, end)), faces);
    const places = new Float32Array(3 * count), index = new Uint32Array(3 * faces);
    for (let axis = 0; axis < 3; axis++) {
      for (let at = 0; at < count; at++) places[3 * at + axis] = (levels[axis * count + at] / 32767 - 1) * radius;
      for (let at = 0; at < faces; at++) index[3 * at + axis] = corners[axis * faces + at];
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(places, 3));
    geometry.setIndex(new THREE.BufferAttribute(index, 1));
    geometry.computeVertexNormals();
    const coloured = Boolean(data.dataset.coloured);
    if (coloured) {
      const colours = new Float32Array(3 * count);
      new Uint8Array(buffer, end).forEach((level, at) => {
        palette[Math.round(level / 255 * (palette.length - 1))].toArray(colours, 3 * at);
      });
      geometry.setAttribute("color", new THREE.BufferAttribute(colours, 3));
    }
    return { geometry, radius, coloured, name: data.dataset.name };
  };
  const show = async (place) => {
    const palette = place.dataset.palette.split(" ").map((colour) => new THREE.Color(`#${colour}`));
    const surfaces = await Promise.all([...place.querySelectorAll("script")].map((data) => unpacked(data, palette)));
    const legend = place.querySelector(".legend");
    const renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true });
    const canvas = renderer.domElement, angstrom = Number(place.dataset.angstrom);
    const scene = new THREE.Scene(), reach = Math.max(...surfaces.map((one) => one.radius));
    const camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 0.1, 20 * reach);
    const shine = { specular: 0x222222, shininess: 25, side: THREE.DoubleSide };
    const plain = new THREE.MeshPhongMaterial({ color: 0x9fc3d6, ...shine });
    const painted = new THREE.MeshPhongMaterial({ vertexColors: true, ...shine });
    const shown = new THREE.Mesh();
    const pick = (one) => {
      Object.assign(shown, { geometry: one.geometry, material: one.coloured ? painted : plain });
      if (legend) legend.hidden = !one.coloured;
    };
    pick(surfaces[0]);
    const light = new THREE.DirectionalLight(0xffffff, 0.75);
    camera.add(light);
    light.position.set(-0.6, 0.8, 1);
    scene.add(shown, camera, new THREE.HemisphereLight(0xffffff, 0x556677, 0.42));
    const controls = new THREE.TrackballControls(camera, canvas);
    Object.assign(controls, { noZoom: true, noPan: true, staticMoving: true, rotateSpeed: 2.5, keys: ["", "", ""] });
    canvas.style.touchAction = "pan-y";
    const bar = element("span", { className: "length" }), said = element("p", { className: "unseen" });
    said.setAttribute("role", "status");
    const stage = element("div", { className: "stage", tabIndex: 0 }, [canvas, bar]);
    stage.setAttribute("role", "application");
    stage.setAttribute("aria-label", "Surface of the map, to turn: arrow keys turn, plus and minus zoom, x, y and z look along an axis");
    const draw = () => {
      renderer.render(scene, camera);
      const perPixel = (camera.right - camera.left) / camera.zoom * angstrom / canvas.clientWidth;
      const power = 10 ** Math.floor(Math.log10(perPixel * canvas.clientWidth / 4));
      const length = [5, 2, 1].find((step) => step * power <= perPixel * canvas.clientWidth / 4) * power;
      bar.style.width = `${length / perPixel}px`;
      bar.textContent = `${Number(length.toPrecision(2))} Å`;
    };
    const say = () => {
      const eye = camera.position.clone().normalize();
      const degrees = (radians) => Math.round(radians * 180 / Math.PI);
      said.textContent = `Seen from longitude ${degrees(Math.atan2(eye.y, eye.x))}°, latitude ${degrees(Math.asin(eye.z))}°.`;
    };
    const look = (from, up) => {
      camera.position.set(...from).normalize().multiplyScalar(5 * reach);
      camera.up.set(...up);
      camera.lookAt(0, 0, 0);
      controls.update();
      draw();
      say();
    };
    const turn = (around, above) => {
      const eye = camera.position.clone().normalize(), up = camera.up.clone().projectOnPlane(eye).normalize();
      const side = new THREE.Vector3().crossVectors(up, eye);
      const by = new THREE.Quaternion().setFromAxisAngle(up, around);
      by.multiply(new THREE.Quaternion().setFromAxisAngle(side, -above));
      look(eye.applyQuaternion(by).toArray(), up.applyQuaternion(by).toArray());
    };
    const zoom = (factor) => {
      camera.zoom = Math.min(20, Math.max(0.5, camera.zoom * factor));
      camera.updateProjectionMatrix();
      draw();
    };
    const reset = () => { camera.zoom = 1; camera.updateProjectionMatrix(); look([0.45, -0.8, 0.4], [0, 0, 1]); };
    const acts = {
      ArrowLeft: () => turn(-STEP, 0), ArrowRight: () => turn(STEP, 0), ArrowUp: () => turn(0, STEP),
      ArrowDown: () => turn(0, -STEP), "+": () => zoom(NEAR), "-": () => zoom(1 / NEAR), Home: reset,
      z: () => look(...VIEWS.z), y: () => look(...VIEWS.y), x: () => look(...VIEWS.x),
    };
    const button = (text, name, act) => {
      const made = element("button", { type: "button", textContent: text, title: name, onclick: act });
      made.setAttribute("aria-label", name);
      return made;
    };
    const bars = element("div", { className: "acts" }, [
      button("←", "Turn to the left", acts.ArrowLeft), button("→", "Turn to the right", acts.ArrowRight),
      button("↑", "Turn upwards", acts.ArrowUp), button("↓", "Turn downwards", acts.ArrowDown),
      button("+", "Closer", acts["+"]), button("−", "Farther", acts["-"]),
      button("z", "Look along z", acts.z), button("y", "Look along y", acts.y), button("x", "Look along x", acts.x),
      button("⌂", "As at first", reset),
    ]);
    if (surfaces.length > 1) {
      const choice = element("select", { onchange: () => { pick(surfaces[choice.selectedIndex]); draw(); } },
        surfaces.map((one) => element("option", { textContent: one.name })));
      choice.setAttribute("aria-label", "Which map");
      bars.prepend(choice);
    }
    stage.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = acts[event.key === "=" ? "+" : event.key];
      if (act) { event.preventDefault(); act(); }
    });
    stage.addEventListener("wheel", (event) => {
      if (event.ctrlKey) { event.preventDefault(); zoom(NEAR ** (-event.deltaY / 60)); }
    }, { passive: false });
    let dragging = false;
    const follow = () => { if (dragging) { controls.update(); draw(); requestAnimationFrame(follow); } };
    canvas.addEventListener("pointerdown", () => { dragging = true; follow(); });
    addEventListener("pointerup", () => { if (dragging) { dragging = false; controls.update(); draw(); say(); } });
    addEventListener("pointercancel", () => { dragging = false; });
    place.append(stage, bars, said);
    if (legend) place.append(legend);
    place.hidden = false;
    place.closest(".solid").classList.add("turning");
    const fit = () => {
      const { width, height } = stage.getBoundingClientRect();
      if (!width || !height) return;
      const half = 1.03 * reach, wide = Math.max(1, width / height), high = Math.max(1, height / width);
      Object.assign(camera, { left: -half * wide, right: half * wide, top: half * high, bottom: -half * high });
      camera.updateProjectionMatrix();
      renderer.setPixelRatio(devicePixelRatio);
      renderer.setSize(width, height);
      controls.handleResize();
      draw();
    };
    new ResizeObserver(fit).observe(stage);
    fit();
    reset();
  };
  for (const place of document.querySelectorAll(".turn")) show(place).catch(() => { place.hidden = true; });
}
